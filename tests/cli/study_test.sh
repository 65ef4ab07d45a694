# One search on several workers that are killed, stopped and started: it finds what one alone finds.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
data=(--data "idx:$work/idx")
search=("${data[@]}" --teacher-config '1 block, 8 filters' --teacher-epochs 40 --batch 16 --time none --seeds 2 --top 2
  --config 1,1,8,0 --config 1,1,8,1,16 --config 1,1,16,0 --config 1,1,12,0 --config 1,2,8,0 --config 1,2,12,0
  --quick-epochs 2 --distill-epochs 100 --prune-update-every 2 --qat-epochs 10)
# What must not depend on time, workers or faults.
essence() {
  grep -vE '"(seconds|logits_seconds|threads|command)":' "$1/study.json"
  for file in "$1"/trials/*/model.tflite "$1/best/model.tflite"; do sha256sum <"$file"; done
}

good search "$work/alone" "${search[@]}" --workers 2

# several URL NAME: a search and workers, of which some die and one is stopped for longer than its lease.
several() {
  local url=$1 name=$2 worker searching held i
  local shared=(--storage "$url" --study several --lease 1)
  "$retort" search "$work/$name" "${search[@]}" --workers 1 "${shared[@]}" >"$work/$name.out" 2>&1 </dev/null &
  searching=$!
  "$retort" worker "${shared[@]}" "${data[@]}" --workers 1 >"$work/held.out" 2>&1 </dev/null &
  held=$!
  sleep 0.7
  kill -STOP "$held" 2>/dev/null
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
  kill -CONT "$held" 2>/dev/null
  wait "$searching" || fail "the search on $url: $(tail -n 1 "$work/$name.out")"
  wait "$held" || fail "the worker that was stopped: $(tail -n 1 "$work/held.out")"
  [ "$(essence "$work/alone")" = "$(essence "$work/$name")" ] || fail "several workers on $url find something else"
  good study list "$url"
  says "several: 6 COMPLETE"
}
several "sqlite:$work/shared.db" sqlite

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ -n "$bin" ]; then
  unprivileged=()
  if [ "$(id -u)" = 0 ]; then unprivileged=(setpriv --reuid=nobody --regid=nogroup --clear-groups); fi
  mkdir "$work/pg"
  chmod 755 "$work"
  [ "$(id -u)" != 0 ] || chown nobody "$work/pg"
  "${unprivileged[@]}" "$bin/initdb" -D "$work/pg/data" -A trust -U retort --no-sync >/dev/null
  "${unprivileged[@]}" "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -c listen_addresses= 2>/dev/null &
  server=$!
  until "$bin/pg_isready" -q -h "$work/pg"; do sleep 0.1; done
  several "postgresql://retort@/postgres?host=$work/pg" postgresql
  kill -INT "$server"
  wait "$server"
else
  echo "PostgreSQL: skipped, no server is installed: apt-get install postgresql"
fi

# ---- a worker that comes when all is done, or with other data
shared=(--storage "sqlite:$work/shared.db" --study several)
good worker "${shared[@]}" "${data[@]}"
says "Nothing is left to do: 0 candidates completed here"
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

# ---- copies
good study export "$work/alone" "$work/copy.db" --optuna-schema v3.0.0.d
bad 2 "is there already" study export "$work/alone" "$work/copy.db"
bad 2 "give v3.2.0.a (Optuna 3.2 and later) or v3.0.0.d" study export "$work/alone" "$work/x.db" --optuna-schema v9
bad 2 "give either" study export "$work/alone"
good study export "$work/alone" --tensorboard "$work/events"
says "6 runs"
[ "$(find "$work/events" -name 'events.out.tfevents.*' | wc -l)" = 7 ] || fail "event files: $(find "$work/events")"
bad 2 "is there already" study export "$work/alone" --tensorboard "$work/events"
bad 2 "holds no search" study list "$work"
bad 2 "no kind of database" study list mysql://host/db
bad 2 "--lease is without effect" search "$work/x" "${search[@]}" --lease 5
finish
