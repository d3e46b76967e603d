#!/bin/bash
# Ends what up.sh started, by its pid files alone.
# usage: down.sh DIR
dir=${1:?}
for file in "$dir"/run/node.*.pid; do
  [ -s "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null
done
for file in "$dir"/run/slurmctld.pid "$dir"/run/munged.pid; do
  [ -s "$file" ] && kill "$(cat "$file")" 2>/dev/null
done
for _ in $(seq 1 50); do
  left=
  for file in "$dir"/run/slurmctld.pid "$dir"/run/munged.pid; do
    [ -s "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null && left=yes
  done
  [ -z "$left" ] && exit 0
  sleep 0.1
done
exit 1
