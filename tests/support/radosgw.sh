#!/usr/bin/env bash
# Ceph's radosgw with its object storage in memory, for as long as standard input is open:
#   radosgw.sh DIR MON_PORT MON_V1_PORT S3_PORT [BYTES]
# Says `ready` on standard output when the user `rel` can use it. Needs radosgw, ceph-mon, ceph-osd, ceph-common.
set -eu
dir=$1 mon=$2 mon_v1=$3 s3=$4 bytes=${5:-1073741824}
mkdir -p "$dir"/{mon,osd,run,log}
cd "$dir"
fsid=$(cat /proc/sys/kernel/random/uuid)
cat > ceph.conf <<CONF
[global]
fsid=$fsid
mon host=[v2:127.0.0.1:$mon,v1:127.0.0.1:$mon_v1]
public addr=127.0.0.1
cluster addr=127.0.0.1
osd pool default size=1
osd pool default min size=1
osd pool default pg num=4
osd pool default pg autoscale mode=off
mon allow pool size one=true
mon max pg per osd=1000
osd crush chooseleaf type=0
run dir=$dir/run
admin socket=$dir/run/\$name.\$pid.asok
log file=$dir/log/\$name.log
pid file=$dir/run/\$name.pid
keyring=$dir/keyring
mon data=$dir/mon
osd data=$dir/osd
osd objectstore=memstore
memstore device bytes=$bytes
mon data avail crit=0
mon data avail warn=0
CONF
export CEPH_CONF=$dir/ceph.conf
pids=()
stop() {
  trap - EXIT
  exec 2>/dev/null
  [ ${#pids[@]} = 0 ] || kill -9 "${pids[@]}" || true
  wait
  rm -rf "$dir"
}
trap stop EXIT
{
  ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  ceph-authtool keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon,v1:127.0.0.1:$mon_v1]" monmap
  ceph-mon --mkfs -i a --monmap monmap --keyring keyring
} >log/setup 2>&1 </dev/null
ceph-mon -f -i a >log/mon.out 2>&1 </dev/null & pids+=($!)
{
  # A monitor that got no port would be waited for for ever.
  timeout 20 ceph auth add osd.0 -i keyring
  uuid=$(cat /proc/sys/kernel/random/uuid)
  timeout 60 ceph osd new "$uuid" 0
  ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
} >>log/setup 2>&1 </dev/null
ceph-osd -f -i 0 >log/osd.out 2>&1 </dev/null & pids+=($!)
timeout 60 ceph osd crush add 0 1.0 host=h root=default >>log/setup 2>&1 </dev/null
radosgw -f -n client.admin --rgw-frontends="beast endpoint=127.0.0.1:$s3" >log/rgw.out 2>&1 </dev/null & pids+=($!)
for _ in $(seq 600); do
  curl --noproxy '*' -s -o /dev/null "http://127.0.0.1:$s3/" && break
  sleep 0.1
done
timeout 60 radosgw-admin user create --uid rel --display-name rel --access-key relkey --secret relsecretrelsecret \
  --max-buckets=0 >>log/setup 2>&1 </dev/null
echo ready
# Until whoever started it ends, however it does.
cat >/dev/null
