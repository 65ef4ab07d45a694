# retort data check, retort data export, and the sentences about data.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"

# looked SPEC […]: data check must describe it, whatever it thinks of it.
looked() {
  run data check "$@"
  [ "$code" = 0 ] || [ "$code" = 1 ] || fail "retort data check $*"
}
# refused SENTENCE LINE SPEC: a command that needs the data stops with the sentence; data check lists the line.
refused() {
  bad 2 "$1" data export --npy "$work/refused" --data "$3"
  looked "$3"
  [ "$code" = 1 ] || fail "retort data check $3: expected exit code 1"
  says "$2"
}

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

good data export --npy "$work/npy" --data "idx:$work/idx" --validation 0.25
says "Train on x_train[train_indices] (180 images), tune on validation_indices (60)."
for file in x_train y_train x_test y_test train_indices validation_indices test_indices; do
  [ -s "$work/npy/$file.npy" ] || fail "$file.npy is missing"
done
cp "$work/npy/train_indices.npy" "$work/first.npy"
good data check "npy:$work/npy" --json
[ "$(field train)" = 240 ] && [ "$(field test)" = 80 ] || fail "the exported images do not come back"
good data export --npy "$work/npy" --data "idx:$work/idx" --validation 0.25 --split-seed 7
cmp -s "$work/npy/train_indices.npy" "$work/first.npy" && fail "--split-seed changes nothing"
mkdir "$work/train-only" && cp "$work"/idx/train-* "$work/train-only/"
good data export --npy "$work/npy" --data "idx:$work/train-only" --test-fraction 0.25 --json
[ ! -e "$work/npy/x_test.npy" ] || fail "test images of the last export lie beside those of this one"
[[ $out == *'"test": 60'*'"train": 144'*'"validation": 36'* ]] || fail "the split is not counted"

bad 2 "spec is required" data check
good data export --images "$work/pictures" --data "idx:$work/idx"
says "240 training and 80 test images as PNG files in $work/pictures"
good data check "images:$work/pictures" --json
[ "$(field train)" = 240 ] && [ "$(field test)" = 80 ] || fail "the exported pictures do not come back"
bad 2 "$work/pictures: is not empty" data export --images "$work/pictures" --data "idx:$work/idx"
bad 2 "--split-seed is without effect" data export --images "$work/p" --data "idx:$work/idx" --split-seed 7
bad 2 "either --npy DIR or --images DIR" data export --data "idx:$work/idx"
bad 2 "either --npy DIR or --images DIR" data export --data "idx:$work/idx" --npy "$work/a" --images "$work/b"
bad 2 "$work/nowhere" data check "idx:$work/nowhere"
bad 2 "nonsense" data check nonsense:x
bad 2 "size=big" data check "idx:$work/idx?size=big"
bad 2 "colour=1" data check "idx:$work/idx?colour=1"
: >"$work/file"
bad 2 "--npy: $work/file is a file where a folder is expected" data export --npy "$work/file/npy" --data "idx:$work/idx"
bad 2 "--validation" data export --npy "$work/npy" --data "idx:$work/idx" --validation 2

# What every format says of a folder that is not there, is a file or is empty.
mkdir "$work/empty"
for format in idx cifar10 images npy; do
  bad 2 "$work/nowhere: there is no such folder" data check "$format:$work/nowhere"
  bad 2 "$work/file: is a file where a folder is expected" data check "$format:$work/file"
done
bad 2 "$work/empty: has no train-images-idx3-ubyte (or .gz)" data check "idx:$work/empty"
bad 2 "$work/empty: has no data_batch_1.bin; expected are data_batch_1.bin to data_batch_5.bin and test_batch.bin" data check "cifar10:$work/empty"
bad 2 "$work/empty: has no class folders; expected are images as empty/<class>/<image>" data check "images:$work/empty"
bad 2 "$work/empty/x_train.npy: cannot be read: No such file or directory" data check "npy:$work/empty"

# IDX: truncated, gzip truncated, labels that do not match, a class without images.
broken=$work/broken-idx
images=$broken/train-images-idx3-ubyte
labels=$broken/train-labels-idx1-ubyte
fresh() {
  rm -rf "$broken" && mkdir "$broken" && cp "$work"/idx/* "$broken/"
}
fresh && head -c 1000 "$work/idx/train-images-idx3-ubyte" >"$images"
bad 2 "$images: is truncated: its header announces 15360 bytes of data, " data check "idx:$broken"
fresh && head -c 10 "$work/idx/train-labels-idx1-ubyte" >"$labels"
bad 2 "$labels: is truncated: its header announces 240 bytes of data, " data check "idx:$broken"
fresh && head -c 6 "$work/idx/train-labels-idx1-ubyte" >"$labels"
bad 2 "$labels: is truncated in its header" data check "idx:$broken"
fresh && gzip "$images" && head -c 5000 "$images.gz" >"$work/short" && mv "$work/short" "$images.gz"
bad 2 "$images.gz: broken gzip file: it is truncated" data check "idx:$broken"
fresh && cp "$work/idx/t10k-labels-idx1-ubyte" "$labels"
bad 2 "$labels: has 80 labels for the 240 images of train-images-idx3-ubyte" data check "idx:$broken"
fresh && cp "$labels" "$images"
bad 2 "$images: begins with 00000801 where IDX images begin with 00000803" data check "idx:$broken"
fresh && { printf "$(big_endian 2049)$(big_endian 240)" && head -c 239 /dev/zero && printf '\7'; } >"$labels"
bad 2 "$labels: class \"1\" has no training image" data check "idx:$broken"
fresh && rm "$broken/t10k-labels-idx1-ubyte"
bad 2 "$broken: has test images without test labels" data check "idx:$broken"
fresh && { printf "$(big_endian 2049)$(big_endian 80)" && head -c 79 /dev/zero && printf '\11'; } >"$broken/t10k-labels-idx1-ubyte"
refused "$broken/t10k-labels-idx1-ubyte: label 9 at index 79 is out of range: there are 4 classes" \
  "$broken/t10k-labels-idx1-ubyte, index 79: label 9 is out of range: there are 4 classes" "idx:$broken"
looked "idx:$broken" --skip-bad
says "left out    1 broken image or empty class folder"

# CIFAR-10: two records of each class in the first file, one image in each other, then damage.
cifar=$work/cifar
mkdir "$cifar"
for label in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9; do
  printf "\\x0$label"
  head -c 3072 /dev/zero
done >"$cifar/data_batch_1.bin"
cp "$cifar/data_batch_1.bin" "$work/whole"
for name in data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  head -c 3073 "$work/whole" >"$cifar/$name.bin"
done
looked "cifar10:$cifar"
says "images      32x32x3, 24 for training, 1 for testing"
head -c 61000 "$work/whole" >"$cifar/data_batch_1.bin"
refused "$cifar/data_batch_1.bin: has 61000 bytes, which is not a whole number of CIFAR-10 records of 3073 bytes" \
  "$cifar/data_batch_1.bin: its last record has 2613 bytes of 3073" "cifar10:$cifar"
looked "cifar10:$cifar" --skip-bad --json
[ "$(field skipped)" = 1 ] && [ "$(field train)" = 23 ] || fail "the truncated record is not skipped"
{ printf '\12' && tail -c +2 "$work/whole"; } >"$cifar/data_batch_1.bin"
refused "$cifar/data_batch_1.bin: record 0 (byte 0) has label 10; CIFAR-10 labels are 0 to 9" \
  "$cifar/data_batch_1.bin, record 0: has label 10; CIFAR-10 labels are 0 to 9" "cifar10:$cifar"
looked "cifar10:$cifar" --skip-bad
says "left out    1 broken image or empty class folder"
head -c $((3073 * 9)) "$work/whole" >"$cifar/data_batch_1.bin"
bad 2 "class \"truck\" has no training image" data check "cifar10:$cifar"
printf 'a\nb\n' >"$cifar/batches.meta.txt"
bad 2 "$cifar/batches.meta.txt: names 2 classes; CIFAR-10 has 10" data check "cifar10:$cifar"

# write_npy FILE DTYPE SHAPE: its header; the data come from standard input.
write_npy() {
  local header="{'descr': '$2', 'fortran_order': False, 'shape': $3, }"
  { printf '\x93NUMPY\1\0' && printf "\\x$(printf %02x ${#header})\\0" && printf '%s' "$header" && cat; } >"$1"
}
npy=$work/broken-npy
mkdir "$npy"
fresh_npy() {
  rm -f "$npy"/*
  head -c 24 /dev/zero | write_npy "$npy/x_train.npy" '|u1' '(4, 2, 3)'
  printf '\0\1\0\1' | write_npy "$npy/y_train.npy" '|u1' '(4,)'
}
fresh_npy
looked "npy:$npy"
says "images      2x3x1, 4 for training, 0 for testing"
head -c 20 /dev/zero | write_npy "$npy/x_train.npy" '|u1' '(4, 2, 3)'
bad 2 "$npy/x_train.npy: is truncated: shape (4, 2, 3) of |u1 needs 24 bytes of data, it has 20" data check "npy:$npy"
head -c 7 "$npy/y_train.npy" >"$npy/x_train.npy"
bad 2 "$npy/x_train.npy: is not a .npy file" data check "npy:$npy"
head -c 48 /dev/zero | write_npy "$npy/x_train.npy" '<i2' '(4, 2, 3)'
bad 2 "$npy/x_train.npy: has dtype <i2; images are uint8 or float32" data check "npy:$npy"
head -c 24 /dev/zero | write_npy "$npy/x_train.npy" '|u1' '(4, 6)'
bad 2 "$npy/x_train.npy: has shape (4, 6); images are " data check "npy:$npy"
fresh_npy && printf '\0\1\0' | write_npy "$npy/y_train.npy" '|u1' '(3,)'
bad 2 "$npy/y_train.npy: has 3 labels for 4 images" data check "npy:$npy"
printf '\0\2\0\2' | write_npy "$npy/y_train.npy" '|u1' '(4,)'
bad 2 "$npy/y_train.npy: class \"1\" has no training image" data check "npy:$npy"
printf '\0\1\377\1' | write_npy "$npy/y_train.npy" '|i1' '(4,)'
refused "$npy/y_train.npy: label -1 at index 2 is out of range: labels are 0 to 65534" \
  "$npy/y_train.npy, index 2: label -1 is out of range: labels are 0 to 65534" "npy:$npy"
looked "npy:$npy" --skip-bad
says "left out    1 broken image or empty class folder"
fresh_npy && head -c 6 /dev/zero | write_npy "$npy/x_test.npy" '|u1' '(1, 3, 2)'
bad 2 "$npy: has x_test.npy without y_test.npy" data check "npy:$npy"
printf '\1' | write_npy "$npy/y_test.npy" '|u1' '(1,)'
bad 2 "test images are 3x2x1, training images 2x3x1" data check "npy:$npy"

# Images: a whole PNG of one pixel (any size does, when it is asked for), and what can be wrong.
folder=$work/images
spec="images:$folder?size=4x4"
mkdir -p "$folder/a" "$folder/b"
printf 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==' |
  base64 -d >"$work/pixel.png"
for name in a/1 a/2 b/1 b/2; do cp "$work/pixel.png" "$folder/$name.png"; done
looked "$spec"
says "images      4x4x1, 4 for training, 0 for testing"
broken_image() {
  refused "$folder/a/1.png: $1" "$folder/a/1.png: $1" "$spec"
  looked "$spec" --skip-bad
  says "left out    1 broken image or empty class folder"
  says "4x4x1, 3 for training"
}
head -c 50 "$work/pixel.png" >"$folder/a/1.png"
broken_image "broken PNG: "
printf '\377\330\377\340\0\20JFIF' >"$folder/a/1.png"
broken_image "broken JPEG: "
printf 'no image at all' >"$folder/a/1.png"
broken_image "is neither a JPEG nor a PNG image"
: >"$folder/a/1.png"
broken_image "is empty where a JPEG or PNG image is expected"
rm "$folder/a/2.png"
bad 2 "class \"a\" has no training image" data export --npy "$work/refused" --data "$spec" --skip-bad
looked "$spec"
says "class \"a\" has no training image"
rm "$folder/a/1.png"
cp -r "$folder/b" "$folder/c"
refused "$folder/a: the class folder has no image" "$folder/a: the class folder has no image" "$spec"
looked "$spec" --skip-bad
says "left out    1 broken image or empty class folder"
says "class \"b\" has 2 training images, too few to appear in every part of the split; 7 are enough."
mkdir -p "$work/sets/train" && cp -r "$folder/b" "$folder/c" "$work/sets/train/"
mkdir -p "$work/sets/test" && cp -r "$folder/b" "$work/sets/test/"
bad 2 "$work/sets: class \"c\" is in train/ but not in test/" data check "images:$work/sets"

# Logits of a teacher from elsewhere are believed only beside the hash of the images they were made for.
good data export --npy "$work/npy" --data "idx:$work/idx"
mkdir "$work/teacher"
head -c $((240 * 4 * 4)) /dev/zero | write_npy "$work/teacher/logits.npy" '<f4' '(240, 4)'
distill=(distill --data "idx:$work/idx" --config '1 block, 1 layer, 4 filters' --epochs 1 --teacher
  "logits:$work/teacher/logits.npy" --out "$work/student")
bad 2 "$work/teacher/logits.npy: nothing says which images these logits belong to" "${distill[@]}"
cp "$work/npy/dataset.json" "$work/teacher/"
good "${distill[@]}"
# rows ROW: logits.npy with this row (printf escapes of its little-endian floats) for each image.
rows() {
  local row=$1 i
  for ((i = 0; i < 240; ++i)); do printf '%b' "$row"; done | write_npy "$work/teacher/logits.npy" '<f4' '(240, 4)'
}
zero='\0\0\0\0' half='\0\0\0\x3f' one='\0\0\x80\x3f'
rows "$zero$half$zero$half"
bad 2 "$work/teacher/logits.npy: holds probabilities (every row sums to 1) where logits are expected" "${distill[@]}"
rows "$zero$half$one$half"
good "${distill[@]}"
good data export --npy "$work/teacher" --data "idx:$work/train-only"
bad 2 "$work/teacher/logits.npy: the logits were made for other data (idx:$work/train-only, hash " "${distill[@]}"

# A folder without a format in front, what is there twice, the page.
program=$(realpath "$retort")
(cd "$work" && "$program" data check idx >out) || fail "a bare folder of IDX files"
head -n 1 "$work/out" | grep -qx 'data        idx:idx' || fail "the format is not guessed"
good data check "idx:$work/idx" --html "$work/page.html"
says "Ready to train on."
grep -q 'data:image/png;base64,iVBOR' "$work/page.html" || fail "the page has no pictures"
bad 2 "--html: $work is a folder where a file is to be written" data check "idx:$work/idx" --html "$work"
cp -r "$work/idx" "$work/leaky" && cp "$work/idx/train-images-idx3-ubyte" "$work/leaky/t10k-images-idx3-ubyte"
cp "$work/idx/train-labels-idx1-ubyte" "$work/leaky/t10k-labels-idx1-ubyte"
run data check "idx:$work/leaky" --json
[ "$code" = 1 ] && [[ $out == *'"name": "copies-across-sets"'* && $out == *'"kind": "across-sets"'* ]] ||
  fail "images in both sets are no problem"
[ "${err##*$'\n'}" = "retort: idx:$work/leaky: one problem would spoil a training" ] || fail "the last line is not the verdict"

# Known data sets. (tests/data/fetch_test.cpp has a server.)
bad 2 '"imagenet" is no data set that can be fetched; known are cifar10, fashion-mnist, mnist' data fetch imagenet
bad 2 '--from: "http://example.org" is no address: write one that begins with https://' data fetch mnist --from http://example.org
bad 1 "by hand: put t10k-labels-idx1-ubyte.gz (4542 bytes, SHA-256 f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6) into $work/mnist and run this again, which checks it" \
  data fetch mnist "$work/mnist" --from https://localhost:1
echo other >"$work/mnist/t10k-labels-idx1-ubyte.gz"
bad 1 "t10k-labels-idx1-ubyte.gz: is there, but it is not the published file (4542 bytes" \
  data fetch mnist "$work/mnist" --from https://localhost:1
bad 1 "$work/file: the folder cannot be made: " data fetch mnist "$work/file"
bad 1 "https://me:***@127.0.0.1:1/x/t10k-labels-idx1-ubyte.gz: " data fetch mnist "$work/new" --from https://me:s3cret@127.0.0.1:1/x
[[ $err != *s3cret* ]] || fail "the password of a mirror is repeated"
bad 2 '"http://me:***@127.0.0.1" is no address' data fetch mnist "$work/new" --from http://me:s3cret@127.0.0.1
mkdir "$work/done" "$work/done/cifar-10-batches-bin"
batches=(data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch)
for name in "${batches[@]}"; do : >"$work/done/cifar-10-batches-bin/$name.bin"; done
bad 1 "data_batch_1.bin: is there, but it is not the published file, which has 30730000 bytes" \
  data fetch cifar10 "$work/done" --from https://localhost:1
for name in "${batches[@]}"; do truncate -s 30730000 "$work/done/cifar-10-batches-bin/$name.bin"; done
good data fetch cifar10 "$work/done" --from https://localhost:1
says "Use it as --data cifar10:$work/done"

finish
