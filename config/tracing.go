package config

import (
	"net/url"
	"strconv"
	"strings"
)

// Tracing says whether, where and which requests are told of as OpenTelemetry
// traces. The zero value is off. The names are OpenTelemetry's own, which other
// programs of the same machine may share: they are checked only when an
// endpoint is set.
type Tracing struct {
	Endpoint       string // OTEL_EXPORTER_OTLP_ENDPOINT: the base of all signals
	TracesEndpoint string // that of traces alone, whole; wins
	Headers        Secret // of every export: name=value,name=value
	TracesHeaders  Secret // wins
	Protocol       string
	Exporter       string
	Disabled       bool

	ServiceName string
	Attributes  string // name=value,name=value
	SamplerName string
	SamplerArg  string
	QueueSize   int // spans that may wait to be sent
}

// tracing declares the settings of OpenTelemetry that are heeded here; what
// else its SDK reads from the environment it reads by itself.
func (o *Options) tracing() []setting {
	t := &o.Tracing
	return []setting{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "", "Collector that requests are told of (OTLP over HTTP, http://host:4318); without it nothing is traced.", text(&t.Endpoint)},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "The same for traces alone, as a whole URL (http://host:4318/v1/traces).", text(&t.TracesEndpoint)},
		{"OTEL_EXPORTER_OTLP_HEADERS", "", "Header lines for the collector: name=value,name=value, percent-encoded.", secret(&t.Headers, 1)},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "", "The same for traces alone.", secret(&t.TracesHeaders, 1)},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "The only one that is spoken.", text(&t.Protocol)},
		{"OTEL_TRACES_EXPORTER", "otlp", "otlp; none turns tracing off.", text(&t.Exporter)},
		{"OTEL_SDK_DISABLED", "false", "Turns tracing off.", boolean(&t.Disabled)},
		{"OTEL_SERVICE_NAME", "llm-proxy", "The name under which traces show the gateway.", text(&t.ServiceName)},
		{"OTEL_RESOURCE_ATTRIBUTES", "", "What else they say of it: name=value,name=value, percent-encoded.", text(&t.Attributes)},
		{"OTEL_TRACES_SAMPLER", "parentbased_always_on", "Which requests: always_on, always_off, traceidratio, or parentbased_ and one of these, which heeds the client's traceparent.", text(&t.SamplerName)},
		{"OTEL_TRACES_SAMPLER_ARG", "1", "The share of them for a traceidratio, from 0 to 1.", text(&t.SamplerArg)},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "2048", "Spans that may wait for the collector; more are dropped and counted.", number(&t.QueueSize, 64, 1_000_000)},
	}
}

// On reports whether requests are traced.
func (t *Tracing) On() bool {
	return !t.Disabled && t.Exporter != "none" && t.URL() != ""
}

// URL is where spans are sent; "" is nowhere.
func (t *Tracing) URL() string {
	if t.TracesEndpoint != "" || t.Endpoint == "" {
		return t.TracesEndpoint
	}
	return strings.TrimRight(t.Endpoint, "/") + "/v1/traces"
}

// HeaderLines are those of every export.
func (t *Tracing) HeaderLines() map[string]string {
	lines := string(t.Headers)
	if t.TracesHeaders != "" {
		lines = string(t.TracesHeaders)
	}
	pairs, _ := parsePairs(lines)
	return pairs
}

// ResourceAttributes are what is said of the gateway besides its name.
func (t *Tracing) ResourceAttributes() map[string]string {
	pairs, _ := parsePairs(t.Attributes)
	return pairs
}

// Sampler says which requests are traced.
type Sampler struct {
	ParentBased bool    // a request with a traceparent is if that says so
	Ratio       float64 // of the others; 0 is none, 1 is all
}

// Sampler reads the sampler's name and argument, which check has looked at.
func (t *Tracing) Sampler() Sampler {
	name, based := strings.CutPrefix(strings.ToLower(t.SamplerName), "parentbased_")
	s := Sampler{ParentBased: based, Ratio: 1}
	switch name {
	case "always_off":
		s.Ratio = 0
	case "traceidratio":
		s.Ratio, _ = strconv.ParseFloat(t.SamplerArg, 64)
	}
	return s
}

// check finds what is wrong with settings that are about to be used.
func (t *Tracing) check() Problems {
	var problems Problems
	if !t.On() {
		return nil
	}
	endpoint := "OTEL_EXPORTER_OTLP_ENDPOINT"
	if t.TracesEndpoint != "" {
		endpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	}
	problems.add(endpoint, checkCollector(t.URL()))
	problems.add("OTEL_EXPORTER_OTLP_HEADERS", checkPairs(string(t.Headers)))
	problems.add("OTEL_EXPORTER_OTLP_TRACES_HEADERS", checkPairs(string(t.TracesHeaders)))
	problems.add("OTEL_RESOURCE_ATTRIBUTES", checkPairs(t.Attributes))
	if t.Protocol != "http/protobuf" {
		problems.add("OTEL_EXPORTER_OTLP_PROTOCOL", "must be http/protobuf")
	}
	if t.Exporter != "otlp" {
		problems.add("OTEL_TRACES_EXPORTER", "must be otlp or none")
	}
	return append(problems, t.checkSampler()...)
}

func (t *Tracing) checkSampler() Problems {
	var problems Problems
	switch strings.TrimPrefix(strings.ToLower(t.SamplerName), "parentbased_") {
	case "always_on", "always_off":
	case "traceidratio":
		if r, err := strconv.ParseFloat(t.SamplerArg, 64); err != nil || !(r >= 0 && r <= 1) {
			problems.add("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1")
		}
	default:
		problems.add("OTEL_TRACES_SAMPLER", "must be always_on, always_off or traceidratio, or parentbased_ and one of these")
	}
	return problems
}

func checkCollector(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return "must be a URL like http://localhost:4318"
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "must not hold a user, password, query or fragment"
	}
	return ""
}

func checkPairs(s string) string {
	if _, ok := parsePairs(s); !ok {
		return "must be name=value,name=value, with values percent-encoded"
	}
	return ""
}

// parsePairs reads the lists of OpenTelemetry: like W3C baggage, without
// properties. ok is false if there is anything else in it.
func parsePairs(s string) (pairs map[string]string, ok bool) {
	pairs = map[string]string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, raw, found := strings.Cut(item, "=")
		value, err := url.PathUnescape(strings.TrimSpace(raw))
		name = strings.TrimSpace(name)
		if !found || name == "" || err != nil || strings.ContainsAny(name+value, "\r\n\x00") {
			return nil, false
		}
		pairs[name] = value
	}
	return pairs, true
}
