// SPDX-License-Identifier: Apache-2.0
//
// The command line. Exit codes: 0 good, 1 bad configuration or could not start, 2 usage.
#pragma once

namespace weir::cli {

int main(int argc, char** argv);

}  // namespace weir::cli
