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

# The examples, as someone finds them who has installed it.
examples=$work/prefix/share/doc/libretort-dev/examples
small_data "$work/idx"
if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name retort.pc)")
  step "$compiler" -std=c++20 "$examples/library/what_fits.cpp" $(pkg-config --cflags --libs retort) -o "$work/what_fits"
  step "$work/what_fits" nano33ble "idx:$work/idx"
  out=$(cat "$work/out")
  says "2 blocks, 1 layer, 16 filters "
  says " fits"
fi
[ "$(wc -l <"$examples/library/what_fits.cpp")" -lt 60 ] || fail "the example has grown"

good quantize --config '1 block, 1 layer, 4 filters' --data "idx:$work/idx" --teacher none --epochs 2 --out "$work/model"
good export "$work/model/model.tflite" --to c --name model --data "idx:$work/idx" --out "$work/model-c"
step make -C "$examples/embed" MODEL="$work/model-c"
{ printf 'P5\n16 24\n255\n' && head -c 384 /dev/zero; } >"$work/black.pgm"
step "$examples/embed/classify" "$work/black.pgm"
grep -qx '[0-3]' "$work/out" || fail "the embedded network gives no class"

# Where a person's shell and man look.
for file in share/man/man1/retort-search.1.gz share/bash-completion/completions/retort \
  share/zsh/site-functions/_retort share/fish/vendor_completions.d/retort.fish; do
  [ -s "$work/prefix/$file" ] || fail "$file is not installed"
done
finish
