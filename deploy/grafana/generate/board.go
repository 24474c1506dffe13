package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// tag is on every dashboard of the gateway: the links between them go by it.
const tag = "llm-proxy"

// source is the data source that the variable of that name chooses.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// board begins a dashboard. Its variables follow the data source and the
// instances, which all have.
func board(uid, title, description string, variables ...*dashboard.QueryVariableBuilder) *dashboard.DashboardBuilder {
	b := dashboard.NewDashboardBuilder(title).Uid(uid).Description(description).
		Tags([]string{tag}).Editable().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Timezone("browser").Time("now-1h", "now").Refresh("30s").
		Link(dashboard.NewDashboardLinkBuilder("Dashboards").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).IncludeVars(true).KeepTime(true)).
		Annotation(reloads()).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		// No allValue: "all" are the instances of the gateway, so that the
		// families that every process has (process_…, go_…) are its own.
		WithVariable(choice("instance", "Instance", "label_values(llm_proxy_build_info, instance)"))
	for _, v := range variables {
		b.WithVariable(v)
	}
	return b
}

// choice is a variable whose values Prometheus knows: one, several or all.
func choice(name, label, query string) *dashboard.QueryVariableBuilder {
	all := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source).
		Query(dashboard.StringOrMap{Map: map[string]any{"query": query, "refId": name}}).Definition(query).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortNaturalAsc).
		Multi(true).IncludeAll(true).
		Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: all})
}

// Variables that some dashboards have. "All" is everything, even what has no
// requests yet: a regular expression of hundreds of keys would be a long query.
var (
	provider = choice("provider", "Provider", `label_values(llm_proxy_provider_health{instance=~"$instance"}, provider)`).AllValue(".*")
	model    = choice("model", "Model", `label_values(llm_proxy_requests_total{instance=~"$instance"}, model)`).AllValue(".*")
	key      = choice("key", "Key", `label_values(llm_proxy_requests_total{instance=~"$instance"}, api_key_name)`).AllValue(".*")
)

// reloads marks the moments at which an instance took another configuration.
func reloads() *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name("Configuration").Datasource(source).
		Enable(true).IconColor("blue").
		Expr(`changes(llm_proxy_config_version{instance=~"$instance"}[1m]) > 0`)
}

// query is one PromQL expression and what its series are called.
type query struct{ legend, expr string }

// target makes a query over the dashboard's time.
func (q query) target(ref string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).RefId(ref).
		Expr(q.expr).LegendFormat(q.legend).EditorMode(prometheus.QueryEditorModeCode).Range()
}

// moment makes a query of the present.
func (q query) moment(ref string) *prometheus.DataqueryBuilder {
	return q.target(ref).Instant()
}

// ref names the queries of a panel as Grafana does.
func ref(i int) string { return string(rune('A' + i)) }
