# A model's way in single steps: teacher, distill, prune, quantize, export, eval, inspect.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
data="idx:$work/idx"
config='2 blocks, 1 layer, 8 filters, 1 dense, 16 units'

# ---- teacher
good teacher --data "$data" --config '1 block, 2 layers, 16 filters, 1 dense, 32 units' --epochs 8 --batch 16 \
  --threads 1 --out "$work/teacher" --logits "$work/logits.npy" --test
says "teacher     validation "
says "test        "
[ -s "$work/teacher/weights.retort" ] && [ -s "$work/logits.npy" ] && [ -s "$work/logits.json" ] ||
  fail "the teacher's files are missing"
good teacher --data "$data" --config "$config" --epochs 2 --out "$work/one.retort" --json --optimizer sgd \
  --schedule cosine --early-stopping loss --learning-rate 0.01 --mirror --shift 1
[ -s "$work/one.retort" ] && [ "$(field file)" = "$work/one.retort" ] || fail "--out FILE.retort"
good teacher --data "$data" --config "$config" --epochs 5 --batch 16 --out "$work/said"
final=$(sed -n 's/^teacher     validation \([^,]*\),.*/\1/p' "$work/out")
[[ $err == *"epoch 5/5, loss "*", validation $final" ]] || fail "progress ends with another validation than the result's"
bad 2 "--epochs: \"0\" is not a whole number from 1 to" teacher --data "$data" --out "$work/x" --epochs 0
bad 2 "--config: it is empty where a network is expected" teacher --data "$data" --out "$work/x" --config ""
bad 2 "--config: it is empty where a network is expected" inspect --config "" --input 8x8x1
bad 2 "the list of layers ends with Conv2D, but its last one stands for the classes' layer: write ('Dense', 4) last" \
  teacher --data "$data" --out "$work/x" --config "[('Conv2D', 8)]"
bad 2 "--logits: \"logits.txt\" should end in .npy" teacher --data "$data" --out "$work/x" --logits logits.txt
bad 2 "--optimizer: \"lion\" is unknown: write adam or sgd" teacher --data "$data" --out "$work/x" --optimizer lion
bad 2 "--schedule: there is no schedule 'linear'; known: constant, cosine, one-cycle" teacher --data "$data" --out "$work/x" --schedule linear
bad 2 "--learning-rate: \"fast\" is not a number" teacher --data "$data" --out "$work/x" --learning-rate fast
bad 2 "--seed: \"-1\" is not a seed" teacher --data "$data" --out "$work/x" --seed -1
bad 2 "--threads: \"many\" is not a whole number" teacher --data "$data" --out "$work/x" --threads many
bad 2 "--momentum is without effect: --optimizer is adam" teacher --data "$data" --out "$work/x" --momentum 0.5
bad 2 "--patience is without effect: it is for --early-stopping loss" teacher --data "$data" --out "$work/x" --patience 3
bad 2 "--validation: \"2\" is not a number from 0.01 to 0.9" teacher --data "$data" --out "$work/x" --validation 2
bad 2 "--shift: \"5\" is not a whole number from 0 to 4" teacher --data "$data" --out "$work/x" --shift 5

# ---- distill
good distill --data "$data" --config "$config" --teacher "$work/teacher/weights.retort" --epochs 20 --batch 8 \
  --threads 1 --out "$work/younger" --curriculum entropy
says "distill     validation "
good distill "$work/younger/weights.retort" --data "$data" --teacher "logits:$work/logits.npy" --epochs 4 --batch 16 \
  --threads 1 --alpha 0.3 --temperature 2 --out "$work/student" --json
[ "$(field stage)" = distill ] && [ "$(field file)" = "$work/student/weights.retort" ] || fail "the JSON of distill"
good distill --data "$data" --config "$config" --teacher none --epochs 1 --out "$work/plain"
good distill --data "$data" --config "[('Conv2D', 8), ('MaxPool2D', None), ('GlobalAveragePooling2D', None), ('Dense', 4)]" \
  --teacher none --epochs 1 --out "$work/plain"
bad 2 "--teacher is required" distill --data "$data" --config "$config" --out "$work/x"
bad 2 "give either MODEL, a file of weights, or --config, a fresh network" distill --data "$data" --teacher none \
  --out "$work/x"
bad 2 "give either MODEL, a file of weights, or --config, a fresh network" distill "$work/one.retort" --config "$config" \
  --data "$data" --teacher none --out "$work/x"
bad 2 "--alpha 0.5 leaves a part of the loss to a teacher, and --teacher is none" distill --data "$data" \
  --config "$config" --teacher none --alpha 0.5 --out "$work/x"
bad 2 "--temperature softens a teacher's answers, and --teacher is none" distill --data "$data" --config "$config" \
  --teacher none --temperature 2 --out "$work/x"
bad 2 "run retort teacher and give its weights here" distill --data "$data" --config "$config" --teacher train \
  --out "$work/x"
bad 2 "$work/nothing.retort" distill --data "$data" --config "$config" --teacher "$work/nothing.retort" --out "$work/x"
bad 2 "$work/nothing.npy" distill --data "$data" --config "$config" --teacher "logits:$work/nothing.npy" --out "$work/x"
bad 2 "logits for 1 views of each image" distill --data "$data" --config "$config" --teacher "logits:$work/logits.npy" --mirror --out "$work/x"
bad 2 "--alpha: \"2\" is not a number from 0 to 1" distill --data "$data" --config "$config" --teacher none --alpha 2 \
  --out "$work/x"
bad 2 "--temperature: \"0\" is not a number from 0.01 to 1000" distill --data "$data" --config "$config" --teacher none \
  --temperature 0 --out "$work/x"
bad 2 "--curriculum: there is no curriculum 'hard'; known: none, entropy, random-pacing" distill --data "$data" --config "$config" --teacher none --curriculum hard --out "$work/x"
bad 2 "entropy" distill --data "$data" --config "$config" --teacher none --curriculum entropy --out "$work/x"
bad 2 "takes 8x8x1 but the data has 8x8x3" distill "$work/one.retort" --data "$data?gray=0" --teacher none --out "$work/x"
bad 2 'configuration "9 blocks of nonsense", character 10: a number is missing; a right one is "3 blocks' distill --data "$data" --config '9 blocks of nonsense' --teacher none --out "$work/x"
bad 2 "--curriculum-start is without effect: --curriculum is none" distill --data "$data" --config "$config" \
  --teacher none --curriculum-start 0.5 --out "$work/x"
bad 2 "--beta1 is without effect: --optimizer is sgd" distill --data "$data" --config "$config" --teacher none \
  --optimizer sgd --beta1 0.5 --out "$work/x"

# ---- prune
good prune "$work/student/weights.retort" --data "$data" --epochs 10 --batch 8 --update-every 2 --final-sparsity 0.75 \
  --threads 1 --out "$work/pruned" --json
[[ $(field sparsity) == 0.7[45]* ]] || fail "pruning to 0.75 gives $(field sparsity)"
says '"name": "conv 3×3×1→8"'
good prune "$work/pruned/weights.retort" --data "$data" --epochs 1 --out "$work/again"
says "layer                        weights    zeros"
says "conv 3×3×1→8                      72 "
good distill "$work/pruned/weights.retort" --data "$data" --teacher none --epochs 1 --out "$work/again"
says "75.0% of the model's weights are zeros, which this trains again: prune after distilling."
good prune "$work/student/weights.retort" --data "$data" --epochs 1 --out "$work/again" --teacher "logits:$work/logits.npy" \
  --alpha 0.1 --temperature 2
bad 2 "--alpha 0.1 leaves a part of the loss to a teacher: give --teacher" prune "$work/student/weights.retort" \
  --data "$data" --alpha 0.1 --out "$work/x"
bad 2 "--momentum is without effect: --optimizer is adam" prune "$work/student/weights.retort" --data "$data" \
  --momentum 0.5 --out "$work/x"
bad 2 "final sparsity" prune "$work/student/weights.retort" --data "$data" --initial-sparsity 0.9 --out "$work/x"
bad 2 "--power: " prune "$work/student/weights.retort" --data "$data" --power 0 --out "$work/x"
bad 2 "--end-fraction: " prune "$work/student/weights.retort" --data "$data" --end-fraction 2 --out "$work/x"
bad 2 "--update-every: " prune "$work/student/weights.retort" --data "$data" --update-every 0 --out "$work/x"

# ---- quantize
good quantize "$work/pruned/weights.retort" --data "$data" --epochs 3 --batch 16 --threads 1 --out "$work/int8" --json
[ -s "$work/int8/weights.retort" ] && [ -s "$work/int8/model.tflite" ] || fail "the quantised files are missing"
[ "$(field flash_bytes)" = "$(wc -c <"$work/int8/model.tflite")" ] || fail "flash_bytes is not the file's size"
[[ $(field sparsity_int8) == 0.[78]* ]] || fail "the file has $(field sparsity_int8) zeros"
good quantize "$work/pruned/weights.retort" --data "$data" --epochs 1 --out "$work/taught" --ends int8 --keep last \
  --teacher "logits:$work/logits.npy" --alpha 0.5
bad 2 "--alpha 0.5 leaves a part of the loss to a teacher: give --teacher" quantize "$work/pruned/weights.retort" \
  --data "$data" --alpha 0.5 --out "$work/x"
bad 2 "--teacher has no part in the loss while --alpha is 1" quantize "$work/pruned/weights.retort" --data "$data" \
  --teacher "logits:$work/logits.npy" --out "$work/x"
bad 2 "--temperature softens a teacher's answers, which have no part in the loss while --alpha is 1" quantize \
  "$work/pruned/weights.retort" --data "$data" --temperature 2 --out "$work/x"
bad 2 "--keep: \"first\" is unknown: write best or last" quantize "$work/pruned/weights.retort" --data "$data" \
  --keep first --out "$work/x"

# ---- export
good export "$work/int8/weights.retort" --to tflite --ends int8 --out "$work/a.tflite"
[ -s "$work/a.tflite" ] || fail "a.tflite is missing"
good inspect "$work/a.tflite"
says "classes          0, 1, 2, 3"  # which the weights carry
for option in "--validation 0.1" "--validation-images 9" "--split-seed 3" "--test-fraction 0.1" --skip-bad --no-cache; do
  # shellcheck disable=SC2086
  bad 2 "${option% *} requires --data" export "$work/int8/weights.retort" --out "$work/x.tflite" $option
done
bad 2 "unknown option --seed" export "$work/int8/weights.retort" --out "$work/x.tflite" --seed 3
good export "$work/int8/weights.retort" --data "$data" --out "$work/b.tflite"
cmp -s "$work/b.tflite" "$work/int8/model.tflite" || fail "export and quantize write different files"
good export "$work/student/weights.retort" --data "$data" --out "$work/c.tflite" --json
[[ $(field accuracy_int8) == [01]* ]] || fail "no accuracy of a model quantised after training"
bad 2 "is not quantised: run retort quantize first, or give --data" export "$work/student/weights.retort" \
  --out "$work/x.tflite"
bad 2 "--to: \"onnx\" is unknown: it is one of tflite, c, tflm" export "$work/int8/weights.retort" --to onnx --out "$work/x"
bad 2 "--ends: \"half\" is unknown: write float or int8" export "$work/int8/weights.retort" --ends half --out "$work/x"
bad 2 "$work/a.tflite is a .tflite file already" export "$work/a.tflite" --out "$work/x"
# Packages, from weights and from a file.
good export "$work/int8/weights.retort" --to c --ends int8 --name digits --data "$data" --out "$work/c"
make -C "$work/c" test >"$work/make.txt" 2>&1 || fail "the C package does not pass its test: $(cat "$work/make.txt")"
good export "$work/a.tflite" --to c --name digits --data "$data" --out "$work/c2"
cmp -s "$work/c/digits_weights.h" "$work/c2/digits_weights.h" || fail "weights and file give different C code"
good export "$work/a.tflite" --to tflm --out "$work/tflm" --json
[ -s "$work/tflm/model_tflm.cc" ] || fail "no model_tflm.cc"
for kind in arduino esp-idf zephyr platformio; do
  good export "$work/a.tflite" --to $kind --name digits --data "$data" --out "$work/$kind/digits"
done
good export "$work/a.tflite" --to arduino --package-version 2.0.1 --out "$work/arduino/newer"
grep -qx "version=2.0.1" "$work/arduino/newer/library.properties" || fail "--package-version is not in library.properties"
bad 2 "\"2.0\" is no version of a package" export "$work/a.tflite" --to arduino --package-version 2.0 --out "$work/x"
bad 2 "--package-version is without effect: zephyr" export "$work/a.tflite" --to zephyr --package-version 2.0.1 --out "$work/x"
# The numbers of a package are those of its own runtime, the same everywhere.
good export "$work/a.tflite" --to tflm --out "$work/tflm" --json
[ "$(field runtime)" = tflm ] || fail "a tflm package told as $(field runtime)"
good export "$work/a.tflite" --to c --name digits --out "$work/c2"
says "as generated C: "
for runtime in c tflm; do
  good inspect "$work/a.tflite" --runtime $runtime
  sed -n 's/^  flash  *\([0-9,]* bytes = .*\)$/\1/p; s/^  RAM  *\([0-9,]* bytes = .*\)$/\1/p' "$work/out" >"$work/parts"
  [ "$(wc -l <"$work/parts")" = 2 ] || fail "no parts: $(cat "$work/out")"
  while read -r parts; do
    grep -qF "| $parts |" "$work/c2/MODEL_CARD.md" || fail "the model card and inspect differ: $parts"
  done <"$work/parts"
done
# A stranger's model.json beside the file, deeper than any of ours; and one larger.
mkdir "$work/strange" && cp "$work/a.tflite" "$work/strange/m.tflite"
printf '{"sha256": "%s", "test": %s1%s}' "$(sha256sum <"$work/a.tflite" | cut -c 1-64)" \
  "$(printf '{"a":%.0s' {1..200000})" "$(printf '}%.0s' {1..200000})" >"$work/strange/model.json"
good export "$work/strange/m.tflite" --to c --out "$work/strange/c"
grep -q "^Not known: " "$work/strange/c/MODEL_CARD.md" || fail "the card tells of a model.json without end"
truncate -s 17M "$work/strange/model.json"
bad 2 "$work/strange/model.json" export "$work/strange/m.tflite" --to c --out "$work/x"
# Never over nor among someone's own files.
mkdir "$work/mine" "$work/empty" && echo "# Mine" >"$work/mine/README.md"
bad 2 "--out: $work/mine holds other files" export "$work/a.tflite" --to c --out "$work/mine"
[ "$(cat "$work/mine/README.md")" = "# Mine" ] || fail "export wrote over a README"
bad 2 "--out: $work/c2 holds other files" export "$work/a.tflite" --to c --name others --out "$work/c2"
bad 2 "--out: $work/c2 holds other files" export "$work/a.tflite" --to zephyr --name digits --out "$work/c2"
(cd "$work/empty" && "$retort" export ../a.tflite --to c --out . >"$work/out" 2>&1 && [ -s model.c ]) ||
  fail "into the empty folder that one stands in: $(cat "$work/out")"
bad 2 "\"My model\" is no name for C code" export "$work/a.tflite" --to c --name "My model" --out "$work/x"
bad 2 "\"_\" is no name for C code" export "$work/a.tflite" --to arduino --name _ --out "$work/x"
bad 2 "on Windows con.h is a device" export "$work/a.tflite" --to c --name con --out "$work/x"
bad 2 "--name is for packages" export "$work/int8/weights.retort" --name digits --out "$work/x"
bad 2 "--ends is for weights" export "$work/a.tflite" --to c --ends int8 --out "$work/x"
for run in 1 2 3 4; do  # at once: one of them makes it, whole
  "$retort" export "$work/a.tflite" --to c --name digits --out "$work/race" >"$work/race.$run" 2>&1 &
done
wait
[ "$(ls "$work/race")" = "$(ls "$work/c2")" ] || fail "exports at once leave $(ls "$work/race") $(cat "$work"/race.?)"
ls -d "$work"/.retort-* 2>/dev/null && fail "export leaves a partial folder"
good export "$work/a.tflite" --to c --name digits --out "$work/new/deeper/"
[ -s "$work/new/deeper/digits.c" ] || fail "a package in a new folder of a new folder"
[ ! -e "$work/x" ] || fail "a refused export leaves something"

# ---- eval
good eval "$work/int8/model.tflite" --data "$data" --json --outputs "$work/outputs.npy"
[ "$(field images)" = 80 ] || fail "eval reads $(field images) images instead of the test set's 80"
[ -n "$(field accuracy)" ] && [ -n "$(field images_per_second)" ] || fail "fields of eval are missing"
[ "$(wc -c <"$work/outputs.npy")" = $((128 + 80 * 4 * 4)) ] || fail "outputs.npy is not 80 x 4 floats"
[[ $(field accuracy) == 1* || $(field accuracy) > 0.6 ]] || fail "four patterns are told apart only at $(field accuracy)"
good eval "$work/a.tflite" --data "$data" --split validation --json --outputs "$work/outputs.npy"
[ "$(field images)" = 48 ] || fail "the validation part has $(field images) images instead of 48"
[ "$(wc -c <"$work/outputs.npy")" = $((128 + 48 * 4)) ] || fail "outputs.npy is not 48 x 4 bytes"
for part in train:192 all:240; do
  good eval "$work/a.tflite" --data "$data" --split "${part%:*}" --json
  [ "$(field images)" = "${part#*:}" ] || fail "--split ${part%:*} has $(field images) images"
done
# Data without a test set: the images that the split keeps apart, never the training images.
small_data "$work/untested"
rm "$work/untested"/t10k-*
good eval "$work/a.tflite" --data "idx:$work/untested" --json
[ "$(field split)" = test ] && [ "$(field images)" = 36 ] ||
  fail "eval reads $(field images) images of $(field split) instead of the 36 that the split keeps for testing"
good data export --npy "$work/large" --data "$data?size=16x12&gray=0"
good eval "$work/a.tflite" --data "npy:$work/large"
says "the data is 16x12x3, the model takes 8x8x1: reading npy:$work/large?size=8x8&gray=1"
bad 2 "takes 8x8x1 but the data is 16x12x1" eval "$work/a.tflite" --data "$data?size=16x12"
bad 2 "--split: \"some\" is unknown: write test, train, validation or all" eval "$work/a.tflite" --data "$data" --split some
bad 2 "--outputs: \"o.txt\" should end in .npy" eval "$work/a.tflite" --data "$data" --outputs o.txt
bad 2 "$work/one.retort" eval "$work/one.retort" --data "$data"
bad 2 "$work/nothing.tflite" eval "$work/nothing.tflite" --data "$data"
head -c 2000 "$work/a.tflite" >"$work/cut.tflite"
bad 2 "$work/cut.tflite" eval "$work/cut.tflite" --data "$data"
bad 2 "$work/cut.tflite" inspect "$work/cut.tflite"
good teacher --data "$data" --config "[('Flatten', None), ('Dense', 4)]" --epochs 1 --out "$work/flat.retort"

# ---- the split: what comes after training follows it, unless told otherwise
mkdir "$work/split"
split=$work/split
bounded=(--epochs 1 --batch 16 --validation-images 12 --split-seed 5)
good teacher --data "$data" --config "$config" "${bounded[@]}" --out "$split/teacher"
good distill --data "$data" --config "$config" --teacher none "${bounded[@]}" --out "$split/a"
for first in teacher a; do
  good prune "$split/$first/weights.retort" --data "$data" --epochs 1 --out "$split/b"
  good quantize "$split/b/weights.retort" --data "$data" --epochs 1 --out "$split/c" --json
  exact=$(field accuracy_int8)
  grep -q '"most_validation_images": 12' "$split/c/model.json" && grep -q '"seed": 5' "$split/c/model.json" ||
    fail "model.json does not tell the split: $(cat "$split/c/model.json")"
  good eval "$split/c/model.tflite" --data "$data" --split validation --json
  [ "$(field images)" = 12 ] && [ "$(field accuracy)" = "$exact" ] ||
    fail "eval finds $(field accuracy) on $(field images) images, quantize $exact on 12"
  good export "$split/c/weights.retort" --data "$data" --out "$split/c.tflite" --json
  [ "$(field accuracy_int8)" = "$exact" ] || fail "export finds $(field accuracy_int8), quantize $exact"
done
for words in "--validation-images 8:8" "--validation 0.1:24" "--validation-images none:48" "--validation 0.1 --validation-images 8:8"; do
  # shellcheck disable=SC2086
  good eval "$split/c/model.tflite" --data "$data" --split validation ${words%:*} --json
  [ "$(field images)" = "${words#*:}" ] || fail "with ${words%:*} $(field images) images validate"
done
good eval "$split/c/model.tflite" --data "$data" --split train --json
[ "$(field images)" = 228 ] || fail "$(field images) images trained"
good eval "$split/c/model.tflite" --data "$data" --split all
says "of 240 images (all, what it was trained on perhaps among them)"
# Of a file that nothing tells of, the defaults.
cp "$split/c/model.tflite" "$split/alone.tflite"
good eval "$split/alone.tflite" --data "$data" --split validation --json
[ "$(field images)" = 48 ] || fail "without a model.json $(field images) images validate"
# A model.json of another file tells nothing of this one.
mkdir "$split/other"
cp "$split/c/model.json" "$split/other"
cp "$work/int8/model.tflite" "$split/other"
good eval "$split/other/model.tflite" --data "$data" --split validation --json
[ "$(field images)" = 48 ] || fail "with the model.json of another file $(field images) images validate"
# Data that is not what it was.
mkdir "$work/fewer"
write_idx "$work/fewer/train" 120
write_idx "$work/fewer/t10k" 40
grown="c/model.tflite: was trained on 228 images and validated on 12, and the same split of this data gives 108 and 12: it is other data"
good eval "$split/c/model.tflite" --data "idx:$work/fewer" --split validation
says "$grown"
good prune "$split/a/weights.retort" --data "idx:$work/fewer" --epochs 1 --out "$split/d"
says "a/weights.retort: was trained on 228 images"
for words in "--split test" "--split all" "--split validation --split-seed 5"; do
  # shellcheck disable=SC2086
  good eval "$split/c/model.tflite" --data "idx:$work/fewer" $words
  [[ $out != *"and validated on"* ]] || fail "$words: words that do not concern it"
done
sed -i 's/"seed": 5/"seed": "five"/' "$split/c/model.json"
bad 2 "$split/c/model.json: its \"split\" is not as a search writes it" eval "$split/c/model.tflite" --data "$data" --split validation
mkdir "$split/mine" && echo '{"nodes": []}' >"$split/mine/model.json"
bad 2 "--out: $split/mine/model.json tells of no model" quantize "$split/b/weights.retort" --data "$data" --out "$split/mine"
[ "$(cat "$split/mine/model.json")" = '{"nodes": []}' ] || fail "somebody's own model.json is written over"

# ---- inspect
good inspect "$work/int8/model.tflite"
says "input → output"
says "1x8x8x1 → 1x8x8x8 "
says "start–0"
says "arena cortex-m4"
says "classes          0, 1, 2, 3"
good inspect "$work/int8/model.tflite" --json --svg "$work/arena.svg"
says '"CONV_2D"'
says '"cortex-m4"'
says '"first_used": -1'
[ "$(field supported)" = true ] || fail "a file of ours is not supported"
case $(cat "$work/arena.svg") in
  "<svg "*"peak "*"</svg>") ;;
  *) fail "--svg draws no arena" ;;
esac
[ "$(field flash_bytes)" = "$(wc -c <"$work/int8/model.tflite")" ] || fail "inspect's flash_bytes is not the file's size"
macs=$(field macs)
good inspect "$work/student/weights.retort" --json
[ "$(field macs)" = "$macs" ] || fail "weights and file differ in MACs: $(field macs), $macs"
says '"classes": ['
# Weights are as large as the file that is made of them, trained for int8 or not, with either ends.
for model in int8 student; do
  for ends in float int8; do
    good export "$work/$model/weights.retort" --data "$data" --ends $ends --out "$work/ends.tflite"
    good inspect "$work/$model/weights.retort" --ends $ends --json
    [ "$(field flash_bytes)" = "$(wc -c <"$work/ends.tflite")" ] || fail "$model is $(field flash_bytes) bytes with $ends ends"
  done
done
good inspect --config "$config" --input 8x8x1 --classes 4 --json
[ "$(field macs)" = "$macs" ] || fail "--config and file differ in MACs: $(field macs), $macs"
good inspect --config '3,2,32,1,128' --input 32x32x1 --svg "$work/config.svg"
[ -s "$work/config.svg" ] || fail "--svg draws no arena of a configuration"
# A sound file with an operator that is not supported: SOFTMAX's code, in its two places, becomes TANH's.
cp "$work/a.tflite" "$work/tanh.tflite"
at=$(LC_ALL=C grep -obUaP '\x19\x02\x00\x00\x00\x19\x00\x00\x00' "$work/tanh.tflite" | cut -d: -f1)
for place in "$at" $((at + 5)); do
  printf '\x1c' | dd of="$work/tanh.tflite" bs=1 seek="$place" conv=notrunc 2>"$work/err"
done
run inspect "$work/tanh.tflite" --svg "$work/tanh.svg"
[ "$code" = 1 ] || fail "inspect of what is not supported ends with $code instead of 1"
says "1x8x8x1 → 1x8x8x8"
says "not supported:"
says "  TANH (operator "
says "    → train with RELU or RELU6 in its place"
[[ $err == "retort: $work/tanh.tflite: not supported, for a reason that is listed; there is no picture of its arena" ]] ||
  fail "inspect does not say that the file is not supported"
[ ! -e "$work/tanh.svg" ] || fail "a picture of an arena that is unknown"
run inspect "$work/tanh.tflite" --json
[ "$code" = 1 ] && [ "$(field supported)" = false ] || fail "the JSON of what is not supported"
says '"why": "the operator is not supported"'
says '"instead": "train with'
bad 2 "(TANH): the operator is not supported; train with RELU or RELU6 in its place" eval "$work/tanh.tflite" --data "$data"
bad 2 "--svg: " inspect "$work/a.tflite" --svg ""
bad 2 "give either a file or --config" inspect
bad 2 "--config needs the network's input: give --input like 32x32x1" inspect --config "$config"
bad 2 "--ends is for weights and --config: $work/a.tflite has its ends already" inspect "$work/a.tflite" --ends int8
bad 2 "--input requires --config" inspect "$work/a.tflite" --input 8x8x1
bad 2 "--classes requires --config" inspect "$work/one.retort" --classes 4
bad 2 "--input: \"8x8\" is not a shape: write height, width and channels like 32x32x1" inspect --config "$config" --input 8x8
bad 2 "--classes: \"1\" is not a whole number from 2 to 65535" inspect --config "$config" --input 8x8x1 --classes 1
bad 2 "$work/logits.npy" inspect "$work/logits.npy"
truncate -s 6G "$work/large.tflite" "$work/large.retort"
for command in inspect "eval --data $data" "export --to arduino --out $work/x"; do
  # shellcheck disable=SC2086  # a command's words
  bad 2 "$work/large.tflite: has 6442450944 bytes; at most 1073741824 are read" $command "$work/large.tflite"
done
bad 2 "$work/large.retort: not a retort-model file" inspect "$work/large.retort"
rm "$work/large.tflite" "$work/large.retort"

# ---- equal seeds, equal files
good distill --data "$data" --config "$config" --teacher none --epochs 1 --seed 3 --out "$work/seed-a"
good distill --data "$data" --config "$config" --teacher none --epochs 1 --seed 3 --out "$work/seed-b"
good distill --data "$data" --config "$config" --teacher none --epochs 1 --seed 4 --out "$work/seed-c"
cmp -s "$work/seed-a/weights.retort" "$work/seed-b/weights.retort" || fail "equal seeds give different weights"
cmp -s "$work/seed-a/weights.retort" "$work/seed-c/weights.retort" && fail "different seeds give equal weights"

finish
