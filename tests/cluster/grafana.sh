#!/usr/bin/env bash
# Imports the dashboard into a real Grafana, and asks its API whether each panel's queries return data.
# For the cluster of kubectl's current context, where the images are loaded; it leaves all it creates.
set -euo pipefail
cd "$(dirname "$0")/../.."

image=docker.io/grafana/grafana:13.0.1@sha256:0f86bada30d65ef9d0183b90c1e2682ac92d53d95da8bed322b984ea78a4a73a
namespace="grafana-test"
grafana=http://admin:admin@localhost:3000
kubectl() { command kubectl --namespace "$namespace" "$@"; }
api() { curl --fail-with-body --silent --show-error --header 'Content-Type: application/json' "$@"; }

kubectl create namespace "$namespace"
kubectl create -f manifests -f manifests/canary/broken.yaml -f manifests/monitoring
kubectl scale --replicas=3 deployment/appinfo
kubectl create deployment grafana --image="$image"
for deployment in appinfo appinfo-canary-broken prometheus grafana; do
    kubectl rollout status --timeout=5m "deployment/$deployment"
done

# Its port opens some seconds later, and port-forward ends with the first connection that is refused.
for _ in $(seq 300); do
    if kubectl logs deployment/grafana | grep 'HTTP Server Listen' >/dev/null; then break; fi
    sleep 1
done

trap 'kill $(jobs -p)' EXIT
kubectl port-forward deployment/grafana 3000:3000 >/dev/null &
port=$(kubectl get service appinfo -o jsonpath='{.spec.ports[0].nodePort}')
node=$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
while true; do
    curl --silent --max-time 5 "http://$node:$port/v1/appinfo" >/dev/null || true
    sleep 0.1
done &
curl --silent --show-error --fail --retry 60 --retry-delay 1 --retry-all-errors "$grafana/api/health"

api "$grafana/api/datasources" --data '{
    "name": "Prometheus", "uid": "prometheus", "type": "prometheus", "access": "proxy",
    "url": "http://prometheus:9090", "jsonData": {"timeInterval": "5s"}
}'
kubectl get configmap appinfo-dashboard -o jsonpath='{.data.appinfo\.json}' |
    jq '{dashboard: .}' | api "$grafana/api/dashboards/db" --data @-

# Each query as the page would send it, one a line, of the dashboard as Grafana has stored it. The
# variables of a dashboard are filled in by the page; those of Grafana itself by its server.
queries=$(api "$grafana/api/dashboards/uid/appinfo-canary" |
    jq --compact-output --arg namespace "$namespace" '
        .dashboard.panels[] | .title as $title | .targets[] |
        .datasource.uid = "prometheus" | .expr |= gsub("[$]namespace"; $namespace) |
        {title: $title, body: {from: "now-5m", to: "now",
            queries: [. + {intervalMs: 5000, maxDataPoints: 60}]}}')
[ "$(wc -l <<<"$queries")" -ge 8 ]

# The alert needs two minutes.
deadline=$((SECONDS + 300))
while read -r query; do
    title=$(jq --raw-output .title <<<"$query")
    until
        response=$(jq .body <<<"$query" | api "$grafana/api/ds/query" --data @-)
        jq --exit-status '[.results[].frames[].data.values[0] | length] | any(. > 0)' <<<"$response" >/dev/null
    do
        if [ "$SECONDS" -gt "$deadline" ]; then
            echo "grafana.sh: the panel \"$title\" has no data: $response" >&2
            exit 1
        fi
        sleep 2
    done
    echo "$title: $(jq '[.results[].frames[]] | length' <<<"$response") series"
done <<<"$queries"
