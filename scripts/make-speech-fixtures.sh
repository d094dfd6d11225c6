#!/usr/bin/env bash
# Regenerates tests/fixtures/speech/*.wav: human speech from Debian's `pocketsphinx-testdata`, and noises made by sox.
# Needs sox and that package; the times in manifest.json were measured on exactly these files and do not change,
# since nothing here is random (sox runs with -R, its repeatable mode).
#
#   scripts/make-speech-fixtures.sh [folder of the test data]
set -euo pipefail

data="${1:-/usr/share/pocketsphinx/test/data}"
out="$(cd "$(dirname "$0")/.." && pwd)/tests/fixtures/speech"
[ -d "$data" ] || { echo "no $data: apt-get install pocketsphinx-testdata" >&2; exit 1; }
command -v sox >/dev/null || { echo 'no sox: apt-get install sox' >&2; exit 1; }
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

telephone=(-r 8000 -c 1 -e mu-law -t wav)
raw=(-t raw -r 16000 -e signed -b 16 -c 1)
synth=(sox -R -n -r 8000 -c 1)

# Human speech, whole recordings, only brought to the telephone's rate and coding (-1 dB: no clipping by the resampler).
for id in 0870 0880 0890 0920 0930; do
  sox -R -v 0.89 "$data/librivox/sense_and_sensibility_01_austen_64kb-$id.wav" "${telephone[@]}" "$out/librivox-$id.wav"
done
for id in 001 002 003 004 005; do
  sox -R -v 0.89 "$data/cards/$id.wav" "${telephone[@]}" "$out/cards-$id.wav"
done
for name in goforward numbers something; do
  sox -R -v 0.89 "${raw[@]}" "$data/$name.raw" "${telephone[@]}" "$out/$name.wav"
done
sox -R -v 0.89 "${raw[@]}" "$data/tidigits/dhd.2934z.raw" "${telephone[@]}" "$out/digits-29340.wav"

# Steady noise.
"${synth[@]}" "$work/pink.wav" synth 8 pinknoise gain -n -22
"${synth[@]}" "$work/hum.wav" synth 8 brownnoise gain -n -24

# Keyboard: 4 ms noise bursts of uneven strength and spacing over an office's brown noise.
mix=(-v 1 "$work/hum.wav")
i=0
for at in 0.31 0.47 0.58 0.80 0.91 1.13 1.60 1.71 1.85 2.02 2.41 2.55 2.63 2.98 3.10 3.36 3.90 4.01 4.20 4.29 4.77 4.90 5.06 \
  5.38 5.49 5.61 6.02 6.20 6.33 6.71 6.82 7.05 7.44; do
  "${synth[@]}" "$work/key$i.wav" synth 0.004 whitenoise fade h 0 0.004 0.003 gain "-$((6 + i * 7 % 9))" pad "$at" 0
  mix+=(-v 0.5 "$work/key$i.wav")
  i=$((i + 1))
done
sox -R -m "${mix[@]}" "$work/keyboard.wav" trim 0 8

# Hold music: plucked chords over a soft bass, eight bars.
bar() { "${synth[@]}" "$work/bar$1.wav" synth 1 pluck "$2" synth 1 pluck mix "$3" synth 1 pluck mix "$4" gain -n -12; }
bar 0 C4 E4 G4
bar 1 A3 C4 E4
bar 2 F3 A3 C4
bar 3 G3 B3 D4
sox -R "$work"/bar{0,1,2,3,0,1,2,3}.wav "$work/chords.wav"
"${synth[@]}" "$work/bass.wav" synth 8 triangle 98 tremolo 1 60 gain -n -24
sox -R -m -v 1 "$work/chords.wav" -v 1 "$work/bass.wav" "$work/music.wav"

# US ringback: 440 + 480 Hz, 2 s on, 4 s off. US busy tone is not here: no call reaches us through one.
"${synth[@]}" "$work/ring-on.wav" synth 2 sine 440 synth 2 sine mix 480 gain -n -16
sox -R "$work/ring-on.wav" "$work/ringback.wav" pad 0 4 repeat 1 trim 0 8.5

# DTMF 1 2 3 4 5 6 7 8 9 0 * #: 100 ms each, 200 ms apart.
n=0
for pair in 697:1209 697:1336 697:1477 770:1209 770:1336 770:1477 852:1209 852:1336 852:1477 941:1336 941:1209 941:1477; do
  "${synth[@]}" "$work/tone$(printf %02d $n).wav" synth 0.1 sine "${pair%:*}" synth 0.1 sine mix "${pair#*:}" fade 0.005 0.1 0.005 gain -n -10 pad 0.2 0.2
  n=$((n + 1))
done
sox -R "$work"/tone??.wav "$work/dtmf.wav"

# Cough: four double bursts of band-passed noise (a sharp attack, then a decaying tail), no voicing.
"${synth[@]}" "$work/burst-a.wav" synth 0.12 whitenoise bandpass 900 1200h fade h 0.004 0.12 0.10 gain -n -8
"${synth[@]}" "$work/burst-b.wav" synth 0.25 whitenoise bandpass 600 900h fade h 0.01 0.25 0.22 gain -n -14
sox -R "$work/burst-a.wav" "$work/burst-b.wav" "$work/cough1.wav" pad 0.5 0.75
sox -R "$work/cough1.wav" "$work/cough.wav" repeat 3

for name in pink keyboard music ringback dtmf cough; do
  sox -R "$work/$name.wav" "${telephone[@]}" "$out/noise-$name.wav"
done
sox -R "$work/hum.wav" "${telephone[@]}" "$out/noise-brown.wav"

du -ch "$out"/*.wav | tail -1
