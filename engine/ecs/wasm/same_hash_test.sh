#!/usr/bin/env bash
# same_hash_test.sh NATIVE FOLDER: builds same_hash.cpp to WebAssembly in FOLDER, runs it under node
# and compares every line with what the program NATIVE prints.
set -euo pipefail
native=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

for tool in em++ node; do
    command -v "$tool" >/dev/null || { echo "no $tool here: apt-get install emscripten" >&2; exit 1; }
done
mapfile -t sources < <(printf '%s\n' engine/ecs/*.cpp engine/ecs/detail/*.cpp | grep -vE '_(test|bench|fuzz)\.cpp$')
# Nothing but what Debian has built of the system libraries; node reads the module itself.
em++ -std=c++20 -O1 -ffp-contract=off -fno-exceptions -Wall -Wextra -Iinclude \
    engine/ecs/wasm/same_hash.cpp "${sources[@]}" engine/base/assert.cpp \
    -s ENVIRONMENT=node -s WASM_ASYNC_COMPILATION=0 -s ALLOW_MEMORY_GROWTH=1 \
    -o "$folder/same_hash.js"
"$native" >"$folder/native.txt"
node "$folder/same_hash.js" >"$folder/wasm.txt"
[[ -s $folder/native.txt ]] || { echo "$native printed nothing" >&2; exit 1; }
diff "$folder/native.txt" "$folder/wasm.txt"
echo "$(wc -l <"$folder/native.txt") hashes are the same, natively and in WebAssembly"
