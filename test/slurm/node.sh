#!/bin/bash
# Starts a node, or starts it again. The first process of its namespaces is in DIR/run/node.NAME.pid: kill -9 it, and the
# node is gone like after a power loss.
# usage: node.sh DIR NAME
set -euo pipefail
dir=${1:?}; name=${2:?}
mkdir -p "$dir/spool/$name"
setsid unshare --uts --pid --mount --mount-proc --fork --kill-child bash -c \
  "hostname $name; exec slurmd -D -f '$dir/slurm.conf' -N $name" > "$dir/log/node.$name.out" 2>&1 < /dev/null &
outer=$!
for _ in $(seq 1 100); do
  inner=$(pgrep -P "$outer") && break
  sleep 0.05
done
echo "$inner" > "$dir/run/node.$name.pid"
