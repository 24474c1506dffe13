package main

import (
	"strconv"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// panel is a picture that takes the size it is given, in Grafana's grid of 24
// columns.
type panel func(width, height uint32) cog.Builder[dashboard.Panel]

// row begins a row of the dashboard with the panels of its first line.
func row(b *dashboard.DashboardBuilder, title string, height uint32, panels ...panel) {
	b.WithRow(dashboard.NewRowBuilder(title))
	line(b, height, panels...)
}

// line adds panels side by side, of equal width: 24 must be a multiple of how many.
func line(b *dashboard.DashboardBuilder, height uint32, panels ...panel) {
	for _, p := range panels {
		b.WithPanel(p(24/uint32(len(panels)), height))
	}
}

// graph draws lines over time, with a table of their last and highest values.
func graph(title, unit, help string, queries ...query) panel {
	return plot(title, unit, help, queries, func(*timeseries.PanelBuilder) {})
}

// limited is a graph with a dashed line where it begins to matter.
func limited(title, unit, help string, limit float64, queries ...query) panel {
	return plot(title, unit, help, queries, func(p *timeseries.PanelBuilder) {
		p.Thresholds(steps(limit, "red")).
			ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	})
}

// stacked is a graph whose areas add up.
func stacked(title, unit, help string, queries ...query) panel {
	return plot(title, unit, help, queries, func(p *timeseries.PanelBuilder) {
		p.FillOpacity(30).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	})
}

// shares is a graph of parts of a whole; the expressions are from 0 to 1.
func shares(title, help string, queries ...query) panel {
	return plot(title, "percentunit", help, queries, func(p *timeseries.PanelBuilder) {
		p.Max(1).FillOpacity(30).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	})
}

func plot(title, unit, help string, queries []query, change func(*timeseries.PanelBuilder)) panel {
	return func(width, height uint32) cog.Builder[dashboard.Panel] {
		p := timeseries.NewPanelBuilder().Title(title).Description(help).Datasource(source).
			Unit(unit).Min(0).Span(width).Height(height).
			LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
			Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeTable).
				Placement(common.LegendPlacementBottom).ShowLegend(true).Calcs([]string{"lastNotNull", "max"}).
				SortBy("Last *").SortDesc(true)).
			Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
		for i, q := range queries {
			p.WithTarget(q.target(ref(i)))
		}
		change(p)
		return p
	}
}

// number shows the present value, in the colour of the last of the steps that
// it has reached, before a shadow of its history.
func number(title, unit, help string, colours cog.Builder[dashboard.ThresholdsConfig], queries ...query) panel {
	return func(width, height uint32) cog.Builder[dashboard.Panel] {
		p := stat.NewPanelBuilder().Title(title).Description(help).Datasource(source).
			Unit(unit).Span(width).Height(height).Thresholds(colours).
			GraphMode(common.BigValueGraphModeArea).ColorMode(common.BigValueColorModeValue).
			ReduceOptions(last())
		for i, q := range queries {
			p.WithTarget(q.target(ref(i)))
		}
		return p
	}
}

// bars compares what there is at present, the largest on top.
func bars(title, unit, help string, colours cog.Builder[dashboard.ThresholdsConfig], queries ...query) panel {
	return func(width, height uint32) cog.Builder[dashboard.Panel] {
		p := bargauge.NewPanelBuilder().Title(title).Description(help).Datasource(source).
			Unit(unit).Min(0).Span(width).Height(height).Thresholds(colours).
			Orientation(common.VizOrientationHorizontal).DisplayMode(common.BarGaugeDisplayModeBasic).
			NamePlacement(common.BarGaugeNamePlacementLeft).ValueMode(common.BarGaugeValueModeText).
			ReduceOptions(last())
		for i, q := range queries {
			p.WithTarget(q.moment(ref(i)))
		}
		return p
	}
}

func last() *common.ReduceDataOptionsBuilder {
	return common.NewReduceDataOptionsBuilder().Values(false).Calcs([]string{"lastNotNull"})
}

// state is what a number stands for.
type state struct{ text, colour string }

// timeline shows one bar for each series, with the words of its values from 0 on.
func timeline(title, help string, q query, states ...state) panel {
	words := map[string]dashboard.ValueMappingResult{}
	for i, s := range states {
		words[strconv.Itoa(i)] = dashboard.ValueMappingResult{Text: cog.ToPtr(s.text), Color: cog.ToPtr(s.colour), Index: cog.ToPtr(int32(i))}
	}
	return func(width, height uint32) cog.Builder[dashboard.Panel] {
		return statetimeline.NewPanelBuilder().Title(title).Description(help).Datasource(source).
			Span(width).Height(height).MergeValues(true).ShowValue(common.VisibilityModeAuto).RowHeight(0.8).FillOpacity(70).
			Mappings([]dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: words}}}).
			Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).Placement(common.LegendPlacementBottom).DisplayMode(common.LegendDisplayModeList)).
			WithTarget(q.target(ref(0)))
	}
}

// heat shows how the values of a histogram spread over time: darker is more
// of them. The expression keeps the label le.
func heat(title, unit, help, expr string) panel {
	return func(width, height uint32) cog.Builder[dashboard.Panel] {
		return heatmap.NewPanelBuilder().Title(title).Description(help).Datasource(source).
			Span(width).Height(height).Calculate(false).
			YAxis(heatmap.NewYAxisConfigBuilder().Unit(unit)).
			Color(heatmap.NewHeatmapColorOptionsBuilder().Mode(heatmap.HeatmapColorModeScheme).Scheme("Oranges").
				Scale(heatmap.HeatmapColorScaleExponential).Exponent(0.5).Steps(64)).
			WithTarget(query{"{{le}}", expr}.target(ref(0)).Format("heatmap"))
	}
}

// steps are colours from 0 on: green, and then each that follows from its
// value on, as in steps(0.01, "orange", 0.05, "red").
func steps(from ...any) *dashboard.ThresholdsConfigBuilder {
	all := []dashboard.Threshold{{Color: "green"}}
	for i := 0; i < len(from); i += 2 {
		at, ok := from[i].(float64)
		if !ok {
			at = float64(from[i].(int))
		}
		all = append(all, dashboard.Threshold{Value: &at, Color: from[i+1].(string)})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(all)
}

// plain is the colour of numbers that are neither good nor bad.
func plain() *dashboard.ThresholdsConfigBuilder {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "blue"}})
}
