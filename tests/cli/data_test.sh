# retort data check, retort data export, and the sentences about data.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"

good data check "idx:$work/idx"
says "images      8x8x1, 240 for training, 80 for testing"
says "0             60         20"
says "hash        "
hash=$(sed -n 's/^hash  *//p' "$work/out")
[ ${#hash} = 64 ] || fail "the hash is not 64 digits"

good data check "idx:$work/idx" --json
[ "$(field train)" = 240 ] && [ "$(field test)" = 80 ] && [ "$(field height)" = 8 ] && [ "$(field channels)" = 1 ] &&
  [ "$(field skipped)" = 0 ] && [ "$(field content_hash)" = "$hash" ] || fail "the JSON is not the text's"

good data check "idx:$work/idx?size=12x10&gray=0" --quiet
says "images      12x10x3"
[ -z "$err" ] || fail "--quiet is not quiet"

good data export --npy "$work/npy" --data "idx:$work/idx"
for file in x_train y_train x_test y_test; do
  [ -s "$work/npy/$file.npy" ] || fail "$file.npy is missing"
done
good data check "npy:$work/npy" --json
[ "$(field train)" = 240 ] && [ "$(field test)" = 80 ] || fail "the exported images do not come back"

bad 2 "spec is required" data check
bad 2 "--npy is required" data export --data "idx:$work/idx"
bad 2 "$work/nowhere" data check "idx:$work/nowhere"
bad 2 "nonsense" data check nonsense:x
bad 2 "size=big" data check "idx:$work/idx?size=big"
bad 2 "colour=1" data check "idx:$work/idx?colour=1"
head -c 1000 "$work/idx/train-images-idx3-ubyte" >"$work/short"
mkdir "$work/cut" && cp "$work/idx/train-labels-idx1-ubyte" "$work/cut/" && mv "$work/short" "$work/cut/train-images-idx3-ubyte"
bad 2 "$work/cut/train-images-idx3-ubyte" data check "idx:$work/cut"
: >"$work/file"
bad 1 "$work/file" data export --npy "$work/file/npy" --data "idx:$work/idx"

# Broken images: an error that names the file, or a count.
mkdir -p "$work/images/a" "$work/images/b"
printf 'no image at all' >"$work/images/a/broken.png"
cp "$work/images/a/broken.png" "$work/images/b/"
bad 2 "broken.png" data check "images:$work/images"
bad 2 "" data check "images:$work/images" --skip-bad

finish
