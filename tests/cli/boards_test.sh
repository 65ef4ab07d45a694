#!/usr/bin/env bash
# Boards: the table, one's own, and what inspect and search make of them.
. "$(dirname "$0")/lib.sh"
net=(--config '1 block, 1 layer, 8 filters' --input 8x8x1 --classes 4)

# ---- the table
good boards
for name in nano33ble rp2040 stm32l4r5 stm32f446 stm32f746 stm32h743 nrf52840 nrf5340 esp32s3 apollo3; do says "$name "; done
awk 'length($0) > 100' "$work/out" | grep -q . && fail "the table is wider than 100 columns"
good boards nano33ble
says "851,968 (832.0 KB) are left to a model"
good boards nano33ble --json
[ "$(field ram_for_model)" = 188416 ] || fail "ram_for_model is $(field ram_for_model)"
bad 2 "'nano33bel' is no known board: did you mean nano33ble?" boards nano33bel

# ---- one's own
cat >"$work/mine.toml" <<'TOML'
[mine]
title = "My board"
core = "cortex-m0+"
clock = "48 MHz"
flash = "32K"
ram = "8K"

[nano33ble]
core = "cortex-m4"
clock = "32 MHz"
flash = "1M"
ram = "256K"
TOML
good boards --boards "$work/mine.toml"
says "My board"
good boards nano33ble --boards "$work/mine.toml"
says "Cortex-M4 at 32 MHz"
good inspect "${net[@]}" --board mine --boards "$work/mine.toml"
says "as generated C"
says "Fits mine (My board)"
good inspect "${net[@]}" --board mine --boards "$work/mine.toml" --runtime tflm --json
[ "$(field fits)" = false ] || fail "TensorFlow Lite Micro fits in 8 KB"
[ "$(field runtime)" = tflm ] || fail "runtime is $(field runtime)"
good inspect "${net[@]}" --board mine --boards "$work/mine.toml" --runtime tflm
says "too many"
says "Does not fit mine (My board)"
# The picture shows the room that the board leaves to the arena, static data and stack off.
good inspect "${net[@]}" --board mine --boards "$work/mine.toml" --runtime tflm --svg "$work/arena.svg" --json
room=$(($(field ram_left) + $(sed -n 's/^ *"arena": \([0-9]*\),$/\1/p' "$work/out")))
tr -d , <"$work/arena.svg" | grep -q " of $room<" || fail "the picture of the arena does not show the room of $room bytes"
good inspect "${net[@]}" --runtime tflm
says "as TensorFlow Lite Micro"
sed -i 's/clock = "48 MHz"/clok = "48 MHz"/' "$work/mine.toml"
bad 2 "$work/mine.toml:4: mine has the unknown key 'clok': did you mean clock?" boards --boards "$work/mine.toml"
bad 2 "$work/none.toml" boards --boards "$work/none.toml"
{ printf 'a.%.0s' {1..200000}; echo 'b = 1'; } >"$work/deep.toml"
bad 2 "$work/deep.toml:1: this is no TOML: names of tables within tables have more than 64 dots" boards --boards "$work/deep.toml"
bad 2 "--boards is without effect: give --board" inspect "${net[@]}" --boards "$work/mine.toml"
bad 2 "--board: 'nano' is no known board" inspect "${net[@]}" --board nano
bad 2 '--runtime: "rust" is no runtime: write c' inspect "${net[@]}" --runtime rust

# ---- a search
small_data "$work/idx"
tiny=(--data "idx:$work/idx" --config '1,1,8,0' --config '1,1,8,1,16' --teacher none --stages distill,export --distill-epochs 1
  --seeds 1 --time none)
good search "$work/out1" "${tiny[@]}" --board arduino-zero --ram 20K --latency 2s --json
[[ $err == *"For arduino-zero (Arduino Zero, MKR, Nano 33 IoT), as generated C: at most 224.0 KB of flash, 20.0 KB of RAM (the board leaves 26.0 KB), 2000 ms."* ]] ||
  fail "the limits are not said"
[ "$(field board)" = arduino-zero ] || fail "board is $(field board)"
for name in footprint latency milliseconds code stack; do says "\"$name\":"; done
good search "$work/out1" "${tiny[@]}" --board arduino-zero --ram 20K --latency 2s
says "ms ± "
bad 2 "latency seconds is 2.0 there and 1.0 here" search "$work/out1" "${tiny[@]}" --board arduino-zero --ram 20K --latency 1s
bad 3 "bytes of RAM (arena " search "$work/out2" "${tiny[@]}" --board arduino-zero --ram 512
bad 3 "ms are allowed" search "$work/out2" "${tiny[@]}" --board arduino-zero --latency 1ms
bad 2 "--latency is without effect: it is estimated for a board" search "$work/out2" "${tiny[@]}" --latency 1s

finish
