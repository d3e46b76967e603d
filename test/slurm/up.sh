#!/bin/bash
# A real Slurm on one machine, without systemd, cgroups or containers: munged, slurmctld and several slurmd, each of whose
# nodes has its own host name and sees none of the others' processes (UTS, pid and mount namespaces). Everything listens on
# loopback alone, and everything that is started is in a pid file under DIR/run.
# usage: up.sh DIR NODES CPUS_A_NODE FIRST_PORT   (as root; packages slurmctld slurmd slurm-client munge)
set -euo pipefail
dir=${1:?}; nodes=${2:?}; cpus=${3:?}; port=${4:?}
here=$(dirname "$(realpath "$0")")
host=$(hostname -s)
mkdir -p "$dir"/{state,spool,log,run}
chmod 755 "$dir" "$dir"/*
(umask 077; head -c 128 /dev/urandom > "$dir/munge.key")
munged --force --key-file="$dir/munge.key" --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
  --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge.seed" --num-threads=2
cat > "$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
AuthType=auth/munge
# A requeued job waits until its old credential has expired; less than 5 s is refused.
AuthInfo=socket=$dir/run/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=requeue_delay=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=2
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
MinJobAge=600
JobRequeue=1
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + nodes))] CPUs=$cpus State=UNKNOWN
PartitionName=usual Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF
export SLURM_CONF="$dir/slurm.conf"
slurmctld -c -f "$SLURM_CONF"
for i in $(seq 1 "$nodes"); do "$here/node.sh" "$dir" "n$i"; done
for _ in $(seq 1 200); do
  [ "$(sinfo -h -p usual -t idle -o %D 2>/dev/null || true)" = "$nodes" ] && exit 0
  sleep 0.1
done
sinfo -N -l >&2
tail -5 "$dir"/log/*.log >&2
exit 1
