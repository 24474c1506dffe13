package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
)

func TestWhereTracesGo(t *testing.T) {
	f := func(e env, on bool, url string) {
		t.Helper()
		tr := mustParse(t, e).Tracing
		if tr.On() != on || tr.URL() != url {
			t.Errorf("%v: %v %s, want %v %s", e, tr.On(), tr.URL(), on, url)
		}
	}
	f(env{}, false, "")
	f(env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://tempo:4318"}, true, "http://tempo:4318/v1/traces")
	f(env{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example.com/otlp/"}, true, "https://otlp.example.com/otlp/v1/traces")
	f(env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:4318/x"}, true, "http://b:4318/x")
	f(env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_SDK_DISABLED": "true"}, false, "http://a:4318/v1/traces")
	f(env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_TRACES_EXPORTER": "none"}, false, "http://a:4318/v1/traces")
}

// What other programs of the machine are told is no fault of the gateway's,
// until it is to trace.
func TestFaultsOfTraceSettings(t *testing.T) {
	f := func(name, value, fault string) {
		t.Helper()
		e := env{name: value}
		if !strings.HasSuffix(name, "ENDPOINT") {
			if _, err := ParseOptions(nil, e.lookup, io.Discard); err != nil {
				t.Errorf("%s=%s without an endpoint: %v", name, value, err)
			}
			e["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://localhost:4318"
		}
		_, err := ParseOptions(nil, e.lookup, io.Discard)
		var problems Problems
		errors.As(err, &problems)
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Field, fault) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s=%s: %v, want one of %s", name, value, err, fault)
		}
	}
	f("OTEL_EXPORTER_OTLP_ENDPOINT", "canary:4318", "OTEL_EXPORTER_OTLP_ENDPOINT")
	f("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:canary@host:4318", "OTEL_EXPORTER_OTLP_ENDPOINT")
	f("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://canary:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	f("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL")
	f("OTEL_TRACES_EXPORTER", "jaeger", "OTEL_TRACES_EXPORTER")
	f("OTEL_EXPORTER_OTLP_HEADERS", "canary", "OTEL_EXPORTER_OTLP_HEADERS")
	f("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=canary%0d%0aB: c", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
	f("OTEL_RESOURCE_ATTRIBUTES", "=canary", "OTEL_RESOURCE_ATTRIBUTES")
	f("OTEL_TRACES_SAMPLER", "jaeger_remote", "OTEL_TRACES_SAMPLER")
}

func TestTraceSampler(t *testing.T) {
	f := func(name, arg string, want Sampler, fault string) {
		t.Helper()
		e := env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": arg}
		o, err := ParseOptions(nil, e.lookup, io.Discard)
		if fault != "" {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s %s: %v, want %s", name, arg, err, fault)
			}
			return
		}
		if err != nil || o.Tracing.Sampler() != want {
			t.Errorf("%s %s: %+v, %v, want %+v", name, arg, o, err, want)
		}
	}
	f("", "", Sampler{ParentBased: true, Ratio: 1}, "")
	f("always_on", "", Sampler{Ratio: 1}, "")
	f("always_off", "x", Sampler{}, "")
	f("ParentBased_Always_Off", "", Sampler{ParentBased: true}, "")
	f("traceidratio", "", Sampler{Ratio: 1}, "")
	f("traceidratio", "0.25", Sampler{Ratio: 0.25}, "")
	f("parentbased_traceidratio", "1e-3", Sampler{ParentBased: true, Ratio: 0.001}, "")
	for _, arg := range []string{"-0.1", "1.1", "NaN", "10%", "Inf"} {
		f("traceidratio", arg, Sampler{}, "OTEL_TRACES_SAMPLER_ARG")
	}
}

func TestListsOfOpenTelemetry(t *testing.T) {
	f := func(s string, want map[string]string) {
		t.Helper()
		got, ok := parsePairs(s)
		if ok != (want != nil) || ok && !maps.Equal(got, want) {
			t.Errorf("%q: %v %v, want %v", s, got, ok, want)
		}
	}
	f("", map[string]string{})
	f("a=1", map[string]string{"a": "1"})
	f(" a = 1 , b=x%20y%2Cz=,", map[string]string{"a": "1", "b": "x y,z="})
	f("authorization=Basic%20YTpi+/==", map[string]string{"authorization": "Basic YTpi+/=="})
	f("a", nil)
	f("=1", nil)
	f("a=%zz", nil)
	f("a=1%0d%0ab: 2", nil)
	f("a=%00", nil)
}

// The headers are secrets: a line of the settings in a log does not show them.
func TestTraceHeadersDoNotPrint(t *testing.T) {
	o := mustParse(t, env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS": "a=canary", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=canary"})
	if s := fmt.Sprintf("%v %+v %#v", *o, *o, *o); strings.Contains(s, "canary") {
		t.Error(s)
	}
	if got := o.Tracing.HeaderLines(); !maps.Equal(got, map[string]string{"b": "canary"}) {
		t.Errorf("%v", got)
	}
}
