# The whole search: a run to its end, runs that are cut and go on, and every option's wrong value.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
data="idx:$work/idx"
# Two networks in a few seconds; the same for every run that is compared.
base=(--data "$data" --teacher-config '1 block, 8 filters' --teacher-epochs 300 --batch 16 --workers 2
  --config '1,1,8,0' --config '1,1,8,1,16' --quick-epochs 2 --distill-epochs 1000 --prune-update-every 2 --qat-epochs 20
  --seeds 2)
tiny=("${base[@]}" --time none)

# ---- to the end
good search "$work/plain" "${tiny[@]}" --json
for file in report.html trials.csv study.json study.db best/model.tflite best/model.json best/c/model.c best/c/MODEL_CARD.md; do
  [ -s "$work/plain/$file" ] || fail "$file is missing"
done
for name in accuracy_int8 accuracy_float test_accuracy_int8 test_mean test_spread validation_mean left_out skipped flash_bytes macs parameters sparsity \
  config seeds file top teacher trials report seconds cortex-m4; do
  says "\"$name\":"
done
says '"complete": 2'
says '"config": "1 block, 1 layer, 8 filters'
flash=$(printf '%s\n' "$out" | sed -n 's/^    "flash_bytes": \([0-9]*\),$/\1/p' | head -n 1)
[ "$flash" = "$(wc -c <"$work/plain/best/model.tflite")" ] || fail "flash_bytes $flash is not the file's size"
[ "$(wc -l <"$work/plain/trials.csv")" = 3 ] || fail "trials.csv has not a line a trial"
grep -q "search .*/plain --data idx:.* --teacher-config &#39;1 block, 8 filters&#39;" "$work/plain/report.html" ||
  fail "the command in the report is not the one that was given"
grep -q 'Zeros after pruning' "$work/plain/report.html" || fail "no sparsity by layer in the report"
for part in mistakes labels use front; do
  grep -q "<section id=$part>" "$work/plain/report.html" || fail "the report has no part $part"
done
grep -q '"confusion"' "$work/plain/analysis.json" || fail "what the best model gets wrong is not kept"
grep -q '"layers": \[$' "$work/plain/study.json" || fail "no sparsity by layer in study.json"
good inspect "$work/plain/best/model.tflite"
make -C "$work/plain/best/c" test >"$work/make.txt" 2>&1 || fail "best/c does not pass its own test: $(cat "$work/make.txt")"

# ---- another model of it
good pick "$work/plain"
grep -q "trial  int8" "$work/out" || fail "no front"
good pick "$work/plain" --flash 200K --out "$work/picked" --json
[ -s "$work/picked/model.tflite" ] && [ -s "$work/picked/c/model.c" ] || fail "pick leaves no files"
bad 3 "none of the search's models is within the limits" pick "$work/plain" --flash 1K
bad 2 "--out is without effect" pick "$work/plain" --out "$work/x"

# ---- again: nothing is trained, the same is found
summary() { sed -n '/^Best model found/,/Parameters/p' "$work/out"; }
good search "$work/plain" "${tiny[@]}"
says "This search is finished: nothing is left to do."
first=$(summary)
good search "$work/plain" "${tiny[@]}"
[ -n "$first" ] && [ "$(summary)" = "$first" ] || fail "a second run prints another best model"
good report "$work/plain"
bad 2 "seed is 42 there and 7 here" search "$work/plain" "${tiny[@]}" --seed 7
# One model has one accuracy: that of the best in JSON, of the first of the top, and what eval says of the file.
good search "$work/plain" "${tiny[@]}" --json
accuracies() { printf '%s\n' "$out" | sed -n "s/^ *\"$1\": \([0-9.e-]*\),\{0,1\}\$/\1/p"; }
[ "$(accuracies accuracy_int8 | sed -n 1p)" = "$(accuracies accuracy_int8 | sed -n 2p)" ] ||
  fail "the best and the first of the top differ"
[ "$(accuracies test_accuracy_int8 | wc -l)" = 3 ] || fail "the top lacks the accuracy on test"
bad 2 "without a time limit, and this one has one" search "$work/plain" "${base[@]}" --time 1m --quiet

# ---- cut: interrupted in the teacher's training and in a candidate's, or killed
# halt FOLDER FILE ARGUMENTS…: starts a run in the background and holds it ($pid) while FILE is in the folder, which is
# there during one part of the work only. A run that was over it too soon begins again from the same folder.
halt() {
  local folder=$1 file=$2 tries
  shift 2
  rm -rf "$work/before"
  mkdir -p "$folder"
  cp -R "$folder" "$work/before"
  for ((tries = 0; tries < 50; ++tries)); do
    "$retort" search "$folder" "$@" >"$work/begun" 2>&1 </dev/null &
    pid=$!
    until [ -e "$folder/$file" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
    kill -STOP "$pid" 2>/dev/null
    until [[ $(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) =~ ^([TZ]|$) ]]; do sleep 0.01; done
    if kill -0 "$pid" 2>/dev/null && [ -e "$folder/$file" ]; then return; fi
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    rm -rf "$folder"
    cp -R "$work/before" "$folder"
  done
  cp "$work/begun" "$work/out"
  fail "no run was met while it had $file"
}
# Ends the run that is held with SIGINT.
interrupt() {
  kill -INT "$pid"
  kill -CONT "$pid"
  code=0
  wait "$pid" || code=$?
  [ "$code" = 130 ] || fail "SIGINT gives exit code $code instead of 130"
  grep -q '^retort: stopped .*; the same command goes on from here$' "$work/begun" || fail "no word on how to go on"
}
same() {
  good search "$1" "${tiny[@]}"
  cmp -s "$1/best/model.tflite" "$work/plain/best/model.tflite" || fail "$1: a cut run ends with another model"
}
halt "$work/cut" teacher/teacher.checkpoint "${tiny[@]}"
interrupt
halt "$work/cut" trials/1/distill.checkpoint "${tiny[@]}"
interrupt
same "$work/cut"
halt "$work/killed" trials/1/distill.checkpoint "${tiny[@]}"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
same "$work/killed"

# ---- two at once
long=(--data "$data" --teacher-config '1 block' --teacher-epochs 100000 --time none)
halt "$work/two" teacher/teacher.checkpoint "${long[@]}"
bad 1 "in use by another process" search "$work/two" "${long[@]}"
interrupt

# ---- limits, presets, the space, stages
bad 3 "none of 2 structures fits the limits; the nearest miss is 1 block" search "$work/none" "${tiny[@]}" --flash 1K
good search "$work/notebook" --data "$data" --preset notebook --trials 1 --batch 16 --teacher-config '1 block' \
  --teacher-epochs 1 --quick-epochs 1 --distill-epochs 1 --qat-epochs 1 --gate 0 --seeds 1 --quiet
[ -s "$work/notebook/best/model.tflite" ] || fail "the notebook preset leaves no model"
good search "$work/space" --data "$data" --sampler grid --blocks 1,2 --layers 1 --filters 4 --dense 0 --trials 2 \
  --teacher none --stages distill,export --distill-epochs 1 --seeds 1 --optimizer sgd --momentum 0.5 --json
says '"complete": 2'
says '"config": "2 blocks, 1 layer, 4 filters, 0 dense"'
# The quick preset has a limit of time; --trials alone lifts it.
grep -q '^    "seconds": null,\{0,1\}$' "$work/space/study.json" || fail "--trials does not lift the preset's time limit"
good search "$work/timed" "${base[@]}" --time 3s --trials 1
says "epochs are scaled to --time 3.0s; --time none keeps them as given"
grep -q 'teacher_epochs' "$work/timed/study.json" || fail "the plan is not in study.json"
# More structures than the quick preset's dozen, all of them tried.
configs=()
for filters in 1 2 3 4 5 6 7 8 9 10 11 12 13; do configs+=(--config "1,1,$filters,0"); done
good search "$work/many" --data "$data" --time none --teacher none --stages distill,export --distill-epochs 1 \
  --seeds 1 --top 1 "${configs[@]}" --json
says '"complete": 13'
good bench proxies "$work/many" --data "$data" --batch 16
says "13 structures of $work/many"
[[ $out =~ "activation patterns"\ +-?[01]\.[0-9][0-9]\ +(–|-?[0-9]) ]] || fail "a proxy's correlations are missing"
good bench proxies "$work/many" --data "$data" --batch 16 --json
says '"at_equal_macs": '
bad 2 "has 1 structures that were trained on equal terms; a correlation needs at least 8" bench proxies "$work/timed" --data "$data"

# ---- exploring: generations, heats, candidates, in a space of one's own
cat >"$work/space.toml" <<'EOF'
blocks = ["conv", "res"]
most_width = 16
kernels = [3]
EOF
micro=(--data "$data" --preset micro --trials 6 --explore-first 3 --explore-generation 3 --explore-epochs 1 --explore-heats 2
  --explore-heat-epochs 1 --explore-recipes 3 --explore-candidates 2 --teacher none --distill-alpha 1 --distill-epochs 2 --qat-epochs 1 --batch 16
  --seeds 2 --macs 60K --space "$work/space.toml")
good search "$work/micro" "${micro[@]}"
says "Explored 6 structures"
grep -q 'What was explored' "$work/micro/report.html" || fail "the report does not tell what was explored"
! grep -q '"config": ".*\(sep\|inv\)' "$work/micro/study.json" || fail "a structure lies outside the space"
good search "$work/micro" "${micro[@]}" --json
says '"complete": 13'  # six explored, two heats, three recipes, two candidates
printf 'blocks = ["lstm"]\n' >"$work/space.toml"
bad 2 "space.toml:1: blocks holds \"lstm\": known are conv, sep, inv, res" search "$work/x" "${micro[@]}"
bad 2 "--explore-first is without effect: --explore-epochs is 0" search "$work/x" --data "$data" --explore-first 3
bad 2 "--explore-share is without effect" search "$work/x" --data "$data" --preset micro --trials 4 --explore-share 0.2
bad 2 "'evolution' never ends by itself" search "$work/x" --data "$data" --preset micro --time none

# ---- a foreign teacher: weights, then logits; either may go once its answers are in the folder
good teacher --data "$data" --config '1 block, 8 filters' --epochs 2 --out "$work/t.retort" --logits "$work/t.npy"
foreign=(--data "$data" --time none --config '1,1,4,0' --distill-epochs 1 --stages distill,quantize,export
  --qat-epochs 1 --seeds 1)
good search "$work/foreign" "${foreign[@]}" --teacher "$work/t.retort" --json
says "\"source\": \"file $work/t.retort\""
good search "$work/foreign" "${foreign[@]}" --teacher "$work/../${work##*/}/t.retort"
good search "$work/logits" "${foreign[@]}" --teacher "logits:$work/t.npy" --curriculum entropy
bad 2 "logits for 1 views of each image" search "$work/views" "${foreign[@]}" --teacher "logits:$work/t.npy" --mirror
[ ! -s "$work/views/trials.csv" ] || fail "wrong logits begin a search"
cp "$work/t.npy" "$work/other.npy"
printf ' ' >>"$work/other.npy"
rm "$work/t.retort"
good search "$work/foreign" "${foreign[@]}" --teacher "$work/t.retort"

# ---- a place that is no folder
touch "$work/file"
bad 2 "$work/file: is a file: a search needs a folder" search "$work/file" "${tiny[@]}"
bad 2 "the folder of the search has no name" search "" "${tiny[@]}"

# ---- every option's wrong value
wrong() { # OPTION VALUE SENTENCE
  bad 2 "$1: \"$2\" $3" search "$work/x" --data "$data" "$1" "$2"
}
for option in --quick-epochs --quick-patience --distill-epochs --prune-epochs --qat-epochs --teacher-epochs; do
  wrong $option 0 "is not a whole number from 1 to 100000"
done
for option in --batch --teacher-batch; do wrong $option 0 "is not a whole number from 1 to 65536"; done
for option in --gate --distill-alpha --prune-alpha --qat-alpha --curriculum-start --curriculum-end --prune-initial-sparsity \
  --prune-final-sparsity --prune-end-fraction --momentum --teacher-momentum --beta1 --beta2 --teacher-beta1 \
  --teacher-beta2 --weight-decay --teacher-weight-decay --epsilon --teacher-epsilon --validation --test-fraction \
  --qat-range-momentum --qat-rate; do
  wrong $option 2 "is not a number from "
done
wrong --learning-rate 0 "is not a number from 1e-09 to 10"
wrong --learning-rate 11 "is not a number from 1e-09 to 10"
wrong --teacher-learning-rate fast "is not a number from "
wrong --distill-temperature 0 "is not a number from 0.01 to 1000"
wrong --prune-power 0 "is not a number from 0.01 to 100"
wrong --prune-update-every 0 "is not a whole number from 1 to 1000000"
wrong --top 0 "is not a whole number from 1 to 1000"
wrong --seeds 0 "is not a whole number from 1 to 1000"
wrong --workers -1 "is not a whole number from 0 to 4096"
wrong --teacher-threads x "is not a whole number from 0 to 4096"
wrong --shift 5 "is not a whole number from 0 to 4"
wrong --seed -1 "is not a seed"
wrong --split-seed x "is not a seed"
wrong --validation-images 0 "is not a whole number of at least 1, nor none"
wrong --optimizer lion "is unknown: write adam or sgd"
wrong --teacher-optimizer lion "is unknown: write adam or sgd"
wrong --qat-keep first "is unknown: write best or last"
wrong --ends half "is unknown: write float or int8"
wrong --sampler magic "is unknown: write one of grid, ladder, list"
wrong --flash 0 "leaves no room"
wrong --ram 0 "leaves no room"
wrong --macs 0 "allows nothing"
wrong --time 0.5s "is too short: write a duration like 30m, or none"
wrong --trials 0 "is not a number of candidates from 1 to 1000000"
wrong --trials 1.5 "is not a count: write it like 2M, 384K or 1500"
for command in "search $work/x" "eval x.tflite" "export x.retort --out x" "worker --storage sqlite:$work/none"; do
  # shellcheck disable=SC2086
  bad 2 "--data: it is empty where images are expected, such as fashion-mnist or images:DIR" $command --data ""
done
wrong --blocks 17 "is not a whole number from 1 to 16"
wrong --layers 0 "is not a whole number from 1 to 100"
wrong --filters 0 "is not a whole number from 1 to 65536"
wrong --dense -1 "is not a whole number from 0 to 100"
wrong --units x "is not a whole number from 1 to 65536"
for option in --schedule --teacher-schedule --curriculum --preset; do
  bad 2 "$option: " search "$work/x" --data "$data" $option linear
done
bad 2 "--blocks: 1 stands twice" search "$work/x" --data "$data" --blocks 1,1
bad 2 "unknown stage 'quik'" search "$work/x" --data "$data" --stages quik,export
bad 2 "last stage must be 'export'" search "$work/x" --data "$data" --stages quick
bad 2 "the sampler 'list' needs at least one configuration" search "$work/x" --data "$data" --sampler list
bad 2 "9 blocks of nonsense" search "$work/x" --data "$data" --config '9 blocks of nonsense'
bad 2 "9 blocks of nonsense" search "$work/x" --data "$data" --teacher-config '9 blocks of nonsense'
bad 2 "--teacher: 'logits:' lacks its file" search "$work/x" --data "$data" --teacher logits:
bad 2 "$work/nothing.retort" search "$work/x" --data "$data" --teacher "$work/nothing.retort"
bad 2 "final sparsity" search "$work/x" --data "$data" --prune-initial-sparsity 0.9

# ---- images that are left out, and a split of the user's own: the report's commands see the data as the search did
good data export --images "$work/pictures" --data "$data"
printf 'no picture' >"$(find "$work/pictures/train" -name '*.png' | sort | head -n 1)"
split=(--split-seed 7 --test-fraction 0.3)
good search "$work/left out" --data "images:$work/pictures/train?gray=1" --skip-bad "${split[@]}" --config '1,1,8,0' --teacher none \
  --stages distill,export --distill-alpha 1 --distill-epochs 4 --batch 16 --workers 1 --seeds 1 --time none --json
tested() { printf '%s\n' "$out" | sed -n 's/.*"test_accuracy_int8": \([0-9.]*\).*/\1/p' | head -n 1; }
tested=$(tested)
check=$(sed -n "s/.*<pre tabindex=0>retort eval \(.*\)/\1/p" "$work/left out/report.html" | sed "s/&#39;/'/g; s/&amp;/\&/g")
[ -n "$check" ] || fail "no eval in the report"
eval "good eval $check --json"
[ "$(field accuracy)" = "$tested" ] || fail "the report's eval finds $(field accuracy), and the search $tested: $check"
good eval "$work/left out/best/model.tflite" --data "images:$work/pictures/train?gray=1" --skip-bad --json
[ "$(field accuracy)" = "$tested" ] || fail "eval does not follow the model's split: $(field accuracy), not $tested"
good search "$work/left out" --json
[ "$(tested)" = "$tested" ] || fail "a search that left images out does not go on by itself"

# ---- options without effect
without() { # SENTENCE ARGUMENTS…
  local sentence=$1
  shift
  bad 2 "$1 is without effect: $sentence" search "$work/x" --data "$data" "$@"
}
without "it is for a teacher that is trained here, and --teacher is none" --teacher-epochs 2 --teacher none
without "it is for a teacher that is trained here" --teacher-batch 2 --teacher "logits:$work/t.npy"
without "it is for a teacher that is trained here" --teacher-schedule cosine --teacher "$work/t.retort"
without "it is for a teacher that is trained here" --teacher-config '1 block' --teacher none
without "--curriculum is none" --curriculum-start 0.5
without "--config lists the structures" --blocks 1 --config '1 block'
without "--sampler grid proposes structures of its own" --config '1 block' --sampler grid
without "--stages lacks prune" --prune-power 2 --stages quick,export
without "--optimizer is adam" --momentum 0.5
without "--teacher-optimizer is sgd" --teacher-beta1 0.5 --teacher-optimizer sgd
bad 2 "--distill-alpha 0.5 leaves a part of the loss to a teacher, and --teacher is none" search "$work/x" \
  --data "$data" --teacher none --distill-alpha 0.5
[ ! -e "$work/x/trials.csv" ] || fail "a wrong command leaves a search behind"

finish
