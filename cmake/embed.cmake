# SPDX-License-Identifier: Apache-2.0
#
# weir_embed(target file function): puts the bytes of a file into a library as
# `std::string_view weir::server::function()`. The file is its own build step: run as a script
# (cmake -P) it writes the source, included it defines the command.

if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${INPUT}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  file(WRITE "${OUTPUT}" "// Made from ${NAME} by cmake/embed.cmake.
#include <string_view>

namespace weir::server {
namespace {
constexpr unsigned char kBytes[] = {
${bytes}};
}

std::string_view ${FUNCTION}() { return {reinterpret_cast<const char*>(kBytes), sizeof kBytes}; }

}  // namespace weir::server
")
  return()
endif()

set(WEIR_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(weir_embed target file function)
  set(output ${CMAKE_BINARY_DIR}/gen/embed/${function}.cc)
  cmake_path(GET file FILENAME name)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/${file} -DOUTPUT=${output} -DNAME=${name}
            -DFUNCTION=${function} -P ${WEIR_EMBED_SCRIPT}
    DEPENDS ${CMAKE_SOURCE_DIR}/${file} ${WEIR_EMBED_SCRIPT}
    COMMENT "Embedding ${name}"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
