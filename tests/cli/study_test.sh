# One search on several workers that are killed, stopped and started: it finds what one alone finds.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
data=(--data "idx:$work/idx")
search=("${data[@]}" --teacher-config '1 block, 8 filters' --teacher-epochs 300 --batch 16 --time none --seeds 2 --top 2
  --config 1,1,8,0 --config 1,1,8,1,16 --config 1,1,16,0 --config 1,1,12,0 --config 1,2,8,0 --config 1,2,12,0
  --quick-epochs 2 --distill-epochs 1000 --prune-update-every 2 --qat-epochs 10)

good search "$work/alone" "${search[@]}" --workers 2

# several URL NAME: a search and workers, of which some die and one is stopped for longer than its lease.
several() {
  local url=$1 name=$2 worker searching held i
  local shared=(--storage "$url" --study several --lease 1)
  "$retort" search "$work/$name" "${search[@]}" --workers 1 "${shared[@]}" >"$work/$name.out" 2>&1 </dev/null &
  searching=$!
  "$retort" worker "${shared[@]}" "${data[@]}" --workers 1 --folder "$work/$name-held" >"$work/held.out" 2>&1 </dev/null &
  held=$!
  # It is stopped while it has a trial, which others must finish: until the search has ended.
  while :; do
    until [ -n "$(find "$work/$name-held" -name '*.checkpoint' 2>/dev/null)" ] || ! kill -0 "$held" 2>/dev/null; do sleep 0.02; done
    kill -STOP "$held" || fail "the worker that was to be stopped had ended: $(tail -n 1 "$work/held.out")"
    # Not while it writes to SQLite: its lock would stop everybody else, too.
    [ -z "$(find "$work/$name-held" -name '*.checkpoint')" ] || grep -q "POSIX.* WRITE $held " /proc/locks || break
    kill -CONT "$held" || break
  done
  for i in 1 2 3 4; do
    "$retort" worker "${shared[@]}" --workers 2 --folder "$work/$name-worker" >"$work/worker.out" 2>&1 </dev/null &
    worker=$!
    sleep "0.$((i * 2))"
    kill -KILL "$worker" 2>/dev/null
    wait "$worker" 2>/dev/null
    if [ "$i" = 2 ]; then
      kill -KILL "$searching" 2>/dev/null
      wait "$searching" 2>/dev/null
      "$retort" search "$work/$name" "${search[@]}" --workers 1 "${shared[@]}" >"$work/$name.out" 2>&1 </dev/null &
      searching=$!
    fi
  done
  wait "$searching" || fail "the search on $url: $(tail -n 1 "$work/$name.out")"
  kill -CONT "$held"
  wait "$held" || fail "the worker that was stopped: $(tail -n 1 "$work/held.out")"
  grep -q 'was silent for too long' "$work/held.out" || fail "a worker that woke too late was not told: $(cat "$work/held.out")"
  [ "$(essence "$work/alone")" = "$(essence "$work/$name")" ] || fail "several workers on $url find something else"
  good study list "$url"
  says "several: 6 COMPLETE"
}
several "sqlite:$work/shared.db" sqlite

# ---- the bench of databases: in one of its own, over and over, and in no other
small_bench=(--clients 2 --claims 4 --workers 2 --trial-seconds 0.1 --seconds 1 --trials 3 --json)
for i in 1 2; do
  good bench study "sqlite:$work/bench.db" "${small_bench[@]}"
  says '"trials": 3'
done
good study list "sqlite:$work/alone/study.db"
before=$out
bad 2 "the database holds other studies, such as 'retort'" bench study "sqlite:$work/alone/study.db" "${small_bench[@]}"
good study list "sqlite:$work/alone/study.db"
[ "$out" = "$before" ] || fail "a refused bench leaves studies: $out"
bad 1 "" bench study "sqlite:$work" "${small_bench[@]}"

if start_postgres; then
  several "$postgres" postgresql
  # ---- all connections are cut, at random moments
  psql=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/psql
  shared=(--storage "$postgres" --study cut --lease 2)
  "$retort" search "$work/cut" "${search[@]}" --workers 1 "${shared[@]}" >"$work/cut.out" 2>&1 </dev/null &
  searching=$!
  "$retort" worker "${shared[@]}" "${data[@]}" --workers 1 >"$work/cut-worker.out" 2>&1 </dev/null &
  worker=$!
  cuts=0
  while kill -0 "$searching" 2>/dev/null; do
    sleep "0.$((RANDOM % 9 + 1))"
    "$psql" -q -t -A "$postgres" -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
      WHERE application_name='retort'" >"$work/cuts" 2>/dev/null && cuts=$((cuts + $(<"$work/cuts")))
  done
  wait "$searching" || fail "a search whose connections are cut: $(tail -n 1 "$work/cut.out")"
  wait "$worker" || fail "a worker whose connections are cut: $(tail -n 1 "$work/cut-worker.out")"
  [ "$cuts" -gt 3 ] || fail "only $cuts connections were cut"
  [ "$(essence "$work/alone")" = "$(essence "$work/cut")" ] || fail "after $cuts cuts something else is found"
  stop_postgres
fi

# ---- the folder knows where its study is
good report "$work/sqlite"
good pick "$work/sqlite"
good study list "$work/sqlite"
says "several: 6 COMPLETE"
good search "$work/sqlite" "${search[@]}"
[ ! -e "$work/sqlite/study.db" ] || fail "a second study was begun over the same trials"
bad 2 "holds a search already, whose study 'several' is in sqlite:" search "$work/sqlite" "${search[@]}" \
  --storage "sqlite:$work/third.db" --quiet
bad 2 "is in the folder itself" search "$work/alone" "${search[@]}" --storage "sqlite:$work/third.db" --quiet

# ---- a worker in the folder of a finished search
good worker --storage "sqlite:$work/shared.db" --study several "${data[@]}" --folder "$work/sqlite"
[ "$(essence "$work/alone")" = "$(essence "$work/sqlite")" ] || fail "a worker took files of the search away"

# ---- what is explored, the heats, the recipes and the candidates may be anybody's to train
phases=("${data[@]}" --preset micro --macs 40K --teacher-config '1 block, 8 filters' --teacher-epochs 10 --batch 16 --trials 6
  --explore-epochs 2 --explore-first 4 --explore-heats 4 --explore-heat-epochs 4 --explore-recipes 8 --explore-candidates 2
  --distill-epochs 20 --qat-epochs 2 --prune-update-every 2 --seeds 2)
good search "$work/phases-alone" "${phases[@]}" --workers 2
shared=(--storage "sqlite:$work/phases.db" --study phases)
"$retort" search "$work/phases" "${phases[@]}" --workers 1 "${shared[@]}" >"$work/phases.out" 2>&1 </dev/null &
searching=$!
until [ -d "$work/phases/trials/0" ] || ! kill -0 "$searching" 2>/dev/null; do sleep 0.01; done
good worker "${shared[@]}" "${data[@]}" --workers 2 --folder "$work/phases-worker"
wait "$searching" || fail "a search with all phases: $(tail -n 1 "$work/phases.out")"
[ "$(essence "$work/phases-alone")" = "$(essence "$work/phases")" ] || fail "a worker finds something else in some phase"
grep -q '"effort": "recipe"' "$work/phases/study.json" || fail "no recipe was tried"
# 6 structures, 4 and 2 heats, 8 recipes come before the candidates.
grep -qE '^trial 1?[0-9]: ' <<<"$out" || fail "the worker trained nothing of the first phases"

# ---- what another worker takes over goes on from the last checkpoint, a finalist's other seed as well
long=("${data[@]}" --teacher none --batch 16 --time none --seeds 2 --top 1 --config 1,2,12,0 --quick-epochs 2
  --distill-epochs 3000 --prune-update-every 2 --qat-epochs 2)
good search "$work/long" "${long[@]}" --workers 1
shared=(--storage "sqlite:$work/handed.db" --study handed --lease 1 --artefacts "$work/artefacts")
# soon COMMAND…: waits until it succeeds, minutes at most on a busy machine.
soon() {
  for _ in {1..3600}; do
    if "$@"; then return; fi
    sleep 0.05
  done
  fail "waited in vain for: $*"
}
# begun FILE: a search that has FILE in its folder, and a checkpoint in the storage. Its file comes first, named by the
# SHA-256 that the database's row then has.
begun() {
  mkdir -p "$work/artefacts"
  "$retort" search "$work/handed" "${long[@]}" --workers 1 "${shared[@]}" >"$work/handed.out" 2>&1 </dev/null &
  searching=$!
  soon test -e "$work/handed/$1"
  local before
  before=$(ls "$work/artefacts")
  newest=
  soon newer_than "$before"
  soon grep -qaF "$newest" "$work/handed.db" "$work/handed.db-wal"
}
newer_than() {
  newest=$(comm -13 <(printf '%s\n' "$1") <(ls "$work/artefacts") | head -n 1)
  [ "$newest" ]
}
killed() {
  kill -KILL "$searching"
  wait "$searching" 2>/dev/null
}
said_or_ended() { grep -q "$1" "$work/words" || ! kill -0 "$worker" 2>/dev/null; }
# worker_until TEXT: a worker of a folder of its own ($worker, its words in $work/words) that has said so.
worker_until() {
  "$retort" worker "${shared[@]}" "${data[@]}" --workers 1 >"$work/words" 2>&1 </dev/null &
  worker=$!
  soon said_or_ended "$1"
  grep -q "$1" "$work/words" || fail "no worker that says «$1»: $(cat "$work/words")"
}
stopped() {
  kill -TERM "$worker"
  code=0
  wait "$worker" || code=$?
  [ "$code" = 130 ] || fail "a worker that is stopped ends with $code: $(tail -n 1 "$work/words")"
}
# The search is killed, and a worker has its trial when the lease is over; that is stopped, and the next has it at once.
begun trials/0/distill.checkpoint
killed
worker_until '^trial 0: goes on from where'
stopped
worker_until '^trial 0: goes on from where'
soon said_or_ended '^trial [0-9]*: [0-9.]*% int8'
stopped
# The search again, which confirms, and is killed again: a worker confirms without it.
begun trials/0/seed-43/distill.checkpoint
killed
worker_until '^trial 0, seed 43: goes on from where'
soon said_or_ended '^trial [0-9]*: [0-9.]*% int8'
good search "$work/handed" "${long[@]}" --workers 1 "${shared[@]}"
wait "$worker" || fail "the worker that confirmed: $(tail -n 1 "$work/words")"
[ "$(essence "$work/long")" = "$(essence "$work/handed")" ] || fail "what was handed over comes to something else"

# ---- a worker that comes when all is done, or with other data
shared=(--storage "sqlite:$work/shared.db" --study several)
good worker "${shared[@]}" "${data[@]}"
says "Nothing is left to do: 0 completed here"
mkdir "$work/other"
write_idx "$work/other/train" 120
write_idx "$work/other/t10k" 40
bad 2 "study 'several' is about other data" worker "${shared[@]}" --data "idx:$work/other" --quiet
bad 1 "has no candidates for other machines" worker --storage "sqlite:$work/alone/study.db" "${data[@]}" --patience 1s --quiet
bad 2 "holds no study 'none'" worker --storage "sqlite:$work/shared.db" --study none "${data[@]}" --patience 1s --quiet
bad 2 "other settings: seed is 42 there and 7 here" search "$work/sqlite" "${search[@]}" "${shared[@]}" --seed 7 --quiet

# ---- two searches on one folder
"$retort" search "$work/two" "${search[@]}" --workers 1 >/dev/null 2>&1 </dev/null &
first=$!
until [ -e "$work/two/study.db" ]; do sleep 0.02; done
bad 1 "in use by another process" search "$work/two" "${search[@]}" --quiet
wait "$first" || fail "the first of two searches"
[ "$(essence "$work/alone")" = "$(essence "$work/two")" ] || fail "the first of two searches finds something else"

# ---- two searches of one study: the second is refused while the first lives
"$retort" search "$work/first" "${search[@]}" --workers 1 --storage "sqlite:$work/led.db" --study led --lease 4 \
  >"$work/first.out" 2>&1 </dev/null &
first=$!
until ls "$work"/first/trials/*/stages.json >/dev/null 2>&1; do sleep 0.02; done
bad 1 "another search works on this study" search "$work/second" "${search[@]}" --storage "sqlite:$work/led.db" --study led \
  --lease 4 --quiet
wait "$first" || fail "the first of two searches of a study: $(tail -n 1 "$work/first.out")"
[ "$(essence "$work/alone")" = "$(essence "$work/first")" ] || fail "the first of two searches of a study finds something else"
# In another folder it goes on, and has all files.
good search "$work/third" "${search[@]}" --storage "sqlite:$work/led.db" --study led
good report "$work/third"
[ "$(essence "$work/alone")" = "$(essence "$work/third")" ] || fail "a search that went on in another folder lacks something"

# ---- copies
good study export "$work/alone" "$work/copy.db" --optuna-schema v3.0.0.d
bad 2 "is there already" study export "$work/alone" "$work/copy.db"
# A folder's copy has its finalists' runs, and a database's the study that is named alone.
grep -qa 'retort: finalists' "$work/copy.db" || fail "a folder's copy lacks its finalists' runs"
good study export "sqlite:$work/shared.db" "$work/all.db"
grep -qa 'several: finalists' "$work/all.db" || fail "a database's copy lacks a study"
good study export "sqlite:$work/shared.db" "$work/named.db" --study several
grep -qa 'several' "$work/named.db" || fail "the study that was named was not copied"
! grep -qa 'several: finalists' "$work/named.db" || fail "a study was copied that was not named"
bad 2 "holds no study 'nobody'" study export "sqlite:$work/shared.db" "$work/nobody.db" --study nobody
bad 2 "give v3.2.0.a (Optuna 3.2 and later) or v3.0.0.d" study export "$work/alone" "$work/x.db" --optuna-schema v9
bad 2 "give either" study export "$work/alone"
good study export "$work/alone" --tensorboard "$work/events"
says "6 runs"
[ "$(find "$work/events" -name 'events.out.tfevents.*' | wc -l)" = 7 ] || fail "event files: $(find "$work/events")"
bad 2 "is there already" study export "$work/alone" --tensorboard "$work/events"
bad 2 "--optuna-schema is without effect: --tensorboard writes no tables of Optuna's" study export "$work/alone" \
  --tensorboard "$work/other-events" --optuna-schema v3.0.0.d
bad 2 "holds no search" study list "$work"
for missing in "$work/typo" "sqlite:$work/typo"; do
  bad 2 "$work/typo: no database of studies is there: check its name" study list "$missing"
  [ ! -e "$work/typo" ] || fail "a database that is to be read was made"
done
bad 2 "no kind of database" study list mysql://host/db
bad 2 "--lease is without effect" search "$work/x" "${search[@]}" --lease 5
finish
