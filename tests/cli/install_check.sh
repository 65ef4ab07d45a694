# `cmake --install` and find_package(Retort): what is installed builds someone else's project, and that tells of a network
# what the program tells. Called with the program, cmake, the build folder and the compiler.
. "$(dirname "$0")/lib.sh"
cmake=$2 build=$3 compiler=$4

step() {
  code=0
  "$@" >"$work/out" 2>"$work/err" || code=$?
  [ "$code" = 0 ] || fail "$*"
}
step "$cmake" --install "$build" --prefix "$work/prefix"
step "$cmake" -G Ninja -S "$(dirname "$0")/consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_CXX_COMPILER="$compiler"
step "$cmake" --build "$work/consumer"

config='2 blocks, 1 layer, 8 filters, 1 dense, 16 units'
retort=$work/prefix/bin/retort
good inspect --config "$config" --input 32x32x1 --json
expected="$(field parameters) parameters, $(field flash_bytes) bytes of flash, "
step "$work/consumer/consumer" "$config"
out=$(cat "$work/out")
says "$expected"
finish
