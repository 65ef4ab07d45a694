# A trial that crashes, or has no memory, ends neither its search nor its worker: the real program, with a library before
# it that crashes where a certain file is written.
. "$(dirname "$0")/lib.sh"
library=$2
small_data "$work/idx"
data=(--data "idx:$work/idx")
search=("${data[@]}" --teacher none --batch 16 --time none --seeds 2 --top 1 --config 1,1,12,0 --config 1,1,8,1,16
  --config 1,1,16,0 --quick-epochs 2 --distill-epochs 1500 --prune-update-every 2 --qat-epochs 2 --gate 0)
good search "$work/plain" "${search[@]}" --workers 1

# crashing HOW FILE COMMAND…: `retort COMMAND` crashes whenever it writes FILE.
crashing() {
  local -x LD_PRELOAD=$library RETORT_TEST_CRASH=$1 RETORT_TEST_CRASH_AT=$2
  shift 2
  run "$@"
}
models() { sha256sum "$1"/trials/"$2"/model.tflite | cut -d ' ' -f 1; }
# others_as_plain FOLDER: trials 0 and 2 are those of a run that nothing happened to.
others_as_plain() {
  local trial
  for trial in 0 2; do
    [ "$(models "$1" $trial)" = "$(models "$work/plain" $trial)" ] || fail "$1: trial $trial is another one"
  done
  [ -s "$1/best/model.tflite" ] || fail "$1: there is no best model"
}
same_as_plain() {
  others_as_plain "$1"
  [ "$(models "$1" 1)" = "$(models "$work/plain" 1)" ] || fail "$1: trial 1 is another one"
  cmp -s "$1/best/model.tflite" "$work/plain/best/model.tflite" || fail "$1: another best model"
}

# ---- always the same trial: two attempts, then it has failed and the search goes on
for how in segfault abort overflow; do
  crashing $how trials/1/distill.checkpoint search "$work/$how" "${search[@]}" --workers 2 --json
  [ "$code" = 0 ] || fail "a search whose trial crashes ($how) ends with $code"
  says '"complete": 2'
  says '"failed": 1'
  [[ $out == "{"* ]] || fail "more than JSON on standard output"
  [ "$(grep -c 'a candidate ended this process' "$work/err")" = 2 ] || fail "$how: not two attempts"
  [[ $err == *"trial 1: it ended its process: "*"; it is tried once more."*"again: it has failed."* ]] ||
    fail "$how: no word on the attempts"
  grep -q '"reason": "it ended its process: ' "$work/$how/study.json" || fail "$how: no reason in study.json"
  others_as_plain "$work/$how"
done

# ---- once: the second attempt comes to what one without a crash comes to, in a candidate and in a finalist's other seed
for file in trials/1/quantize.checkpoint trials/2/distill.retort seed-43/quick.checkpoint; do
  folder=$work/once-$(basename "$file")
  RETORT_TEST_CRASH_ONCE=$folder.mark crashing segfault "$file" search "$folder" "${search[@]}" --workers 2
  [ "$code" = 0 ] || fail "a search with one crash at $file ends with $code"
  [ -e "$folder.mark" ] || fail "nothing happened at $file"
  same_as_plain "$folder"
done
# ---- what began anew is the same process: it is stopped in order, and goes on later
folder=$work/interrupted
LD_PRELOAD=$library RETORT_TEST_CRASH=segfault RETORT_TEST_CRASH_AT=trials/1/distill.checkpoint \
  RETORT_TEST_CRASH_ONCE=$folder.mark "$retort" search "$folder" "${search[@]}" --workers 1 >"$work/out" 2>"$work/err" </dev/null &
pid=$!
until grep -q 'it is tried once more' "$work/out" || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -INT $pid
code=0
wait $pid || code=$?
[ "$code" = 130 ] || fail "SIGINT gives exit code $code to a search that began anew"
good search "$folder" "${search[@]}" --workers 1
same_as_plain "$folder"

# ---- a worker
folder=$work/shared
shared=(--storage "sqlite:$folder.db" --study crashing --lease 1)
"$retort" search "$folder" "${search[@]}" --workers 1 "${shared[@]}" >"$work/searching" 2>&1 </dev/null &
pid=$!
# A worker that finds no study asks again after seconds, when a quick machine has nothing left for it.
until [ -d "$folder/trials/0" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
TMPDIR=$work RETORT_TEST_CRASH_ONCE=$folder.mark crashing abort distill.checkpoint worker "${shared[@]}" "${data[@]}" --workers 1
[ "$code" = 0 ] || fail "a worker whose trial crashes ends with $code"
says "Nothing is left to do"
[ "$(grep -c 'a candidate ended this process' "$work/err")" = 1 ] || fail "the worker did not crash"
[ -z "$(ls -d "$work"/retort-worker-* 2>/dev/null)" ] || fail "the worker leaves its folder"
wait $pid || fail "the search: $(tail -n 1 "$work/searching")"
same_as_plain "$folder"

# ---- no memory: a structure that has no room in what the process may have fails, the others do not notice
folder=$work/memory
large=("${search[@]}" --config '1 block, 1 layer, 64 filters, 2 dense, 8192 units')
code=0
(ulimit -v $((1500 << 10)) && exec "$retort" search "$folder" "${large[@]}" --workers 1) >"$work/out" 2>"$work/err" </dev/null || code=$?
[ "$code" = 0 ] || fail "a search that lacks memory for one trial ends with $code"
grep -qE '^trial [0-9]+: training it takes (about|more than) .*, and (of the .* that )?this process may have' "$work/out" || fail "no word on the memory"
same_as_plain "$folder"
finish
