// What draws the dashboards, apart from the program's own dependencies:
// go -C deploy/grafana/generate run .
module llmproxy/deploy/grafana/generate

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.11
