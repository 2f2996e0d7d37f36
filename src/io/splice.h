#pragma once
namespace weir::io { class PipePool {}; }
