package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseParams(t *testing.T) {
	f := func(raw, want string, faults ...string) {
		t.Helper()
		p, problems := ParseParams([]byte(raw))
		if got := strings.Join(fields(problems), " "); got != strings.Join(faults, " ") {
			t.Errorf("ParseParams(%s): faults %q, want %q", raw, problems, faults)
		}
		if got := string(p.JSON()); len(faults) == 0 && got != want {
			t.Errorf("ParseParams(%s) = %s, want %s", raw, got, want)
		}
	}
	f(``, `{}`)
	f(`{}`, `{}`)
	f(` { "idle_timeout_ms" : 0 , "max_concurrency":7 } `, `{"idle_timeout_ms":0,"max_concurrency":7}`)
	f(`{"stream_recovery":"splice"}`, `{"stream_recovery":"splice"}`)
	f(`{"stream_recovery":null}`, `{}`)
	f(`{"health_check":{"interval_secs":30}}`, `{"health_check":{"interval_secs":30}}`)
	f(`{"health_check":{"interval_secs":30,"path":"/models"}}`, `{"health_check":{"interval_secs":30,"path":"/models"}}`)
	f(`{"health_check":{"model":"gpt-4","interval_secs":5}}`, `{"health_check":{"interval_secs":5,"model":"gpt-4"}}`)
	f(`{"health_check":{}}`, `{}`)
	f(`{"health_check":null}`, `{}`)
	f(`{"connect_timeout_ms":1,"write_timeout_ms":2,"first_byte_timeout_ms":3,"first_event_timeout_ms":4,"idle_timeout_ms":5,"total_timeout_ms":6,"max_concurrency":7}`,
		`{"connect_timeout_ms":1,"write_timeout_ms":2,"first_byte_timeout_ms":3,"first_event_timeout_ms":4,"idle_timeout_ms":5,"total_timeout_ms":6,"max_concurrency":7}`)
	f(`null`, ``, "provider_params")
	f(`[]`, ``, "provider_params")
	f(`{"a":1`, ``, "provider_params")
	f(`{} {}`, ``, "provider_params")
	f("{\"\xff\":1}", ``, "provider_params")
	f(strings.Repeat("[", 1<<20), ``, "provider_params")
	f(`{"idle_timeout_ms":-1}`, ``, "provider_params.idle_timeout_ms")
	f(`{"idle_timeout_ms":1.5}`, ``, "provider_params.idle_timeout_ms")
	f(`{"idle_timeout_ms":"5"}`, ``, "provider_params.idle_timeout_ms")
	f(`{"idle_timeout_ms":null}`, `{}`)
	f(`{"idle_timeout_ms":99999999999999999999}`, ``, "provider_params.idle_timeout_ms")
	f(`{"stream_recovery":"maybe"}`, ``, "provider_params.stream_recovery")
	f(`{"stream_recovery":1}`, ``, "provider_params.stream_recovery")
	for _, check := range []string{
		`1`, `"/models"`, `{"path":"/models"}`, `{"interval_secs":-1}`, `{"interval_secs":86401}`, `{"interval_secs":1,"path":"models"}`,
		`{"interval_secs":1,"path":"/a b"}`, `{"interval_secs":1,"path":"/a\r\nb"}`, `{"interval_secs":1,"path":"/a","model":"b"}`,
		`{"interval_secs":1,"model":"\u0000"}`, `{"interval_secs":1,"interval":2}`, `{"interval_secs":1,"interval_secs":1}`,
	} {
		f(`{"health_check":`+check+`}`, ``, "provider_params.health_check")
	}
	f(`{"idle_timeout_ms":86400001,"max_concurrency":1000001}`, ``, "provider_params.idle_timeout_ms", "provider_params.max_concurrency")
	f(`{"Idle_timeout_ms":5}`, ``, "provider_params.Idle_timeout_ms")
	f(`{"idle_timeout_ms":5,"idle_timeout_ms":5}`, ``, "provider_params.idle_timeout_ms")
	f(`{"a":1,"b":2,"idle_timeout_ms":true}`, ``, "provider_params.a", "provider_params.b", "provider_params.idle_timeout_ms")
}

func TestMisspeltParamIsGuessed(t *testing.T) {
	_, problems := ParseParams([]byte(`{"idle_timeout":5}`))
	if got := problems.Error(); got != "provider_params.idle_timeout: unknown; did you mean idle_timeout_ms?" {
		t.Errorf("got %q", got)
	}
}

func TestParseMapping(t *testing.T) {
	f := func(raw string, want map[string]string, faults ...string) {
		t.Helper()
		got, problems := ParseMapping([]byte(raw))
		if strings.Join(fields(problems), " ") != strings.Join(faults, " ") {
			t.Errorf("ParseMapping(%s): faults %q, want %q", raw, problems, faults)
		}
		if len(faults) == 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("ParseMapping(%s) = %v, want %v", raw, got, want)
		}
	}
	f(`{}`, map[string]string{})
	f(`{"gpt-4":"gpt-4-turbo","\u00e4":"b"}`, map[string]string{"gpt-4": "gpt-4-turbo", "ä": "b"})
	f(`null`, nil, "model_mapping")
	f(`"x"`, nil, "model_mapping")
	f(`{"a":1,"b":null,"c":"d"}`, nil, "model_mapping[a]", "model_mapping[b]")
	f(`{"a":"x","a":"y"}`, nil, "model_mapping[a]")
}

func TestParseModels(t *testing.T) {
	f := func(raw string, want []string, faults ...string) {
		t.Helper()
		got, problems := ParseModels([]byte(raw))
		if strings.Join(fields(problems), " ") != strings.Join(faults, " ") {
			t.Errorf("ParseModels(%s): faults %q, want %q", raw, problems, faults)
		}
		if len(faults) == 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("ParseModels(%s) = %v, want %v", raw, got, want)
		}
	}
	f(`[]`, []string{})
	f(`["*","gpt-4"]`, []string{"*", "gpt-4"})
	f(`null`, nil, "allowed_models")
	f(`"*"`, nil, "allowed_models")
	f(`["a",1,null]`, nil, "allowed_models[1]", "allowed_models[2]")
}

// TestMembersAgreesWithEncodingJSON holds the splitter to the standard
// library's reading wherever no name is given twice.
func TestMembersAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.MapOf(rapid.String(), rapid.OneOf(rapid.Just(`1`), rapid.Just(`"x"`), rapid.Just(`{"a":[null]}`))).Draw(t, "object")
		raws := map[string]json.RawMessage{}
		for name, value := range object {
			raws[name] = json.RawMessage(value)
		}
		raw, err := json.Marshal(raws)
		if err != nil {
			t.Fatal(err)
		}
		members, twice, err := Members(raw)
		if err != nil || len(twice) > 0 || len(members) != len(object) {
			t.Fatalf("Members(%s) = %v, %v, %v", raw, members, twice, err)
		}
		for _, m := range members {
			if object[m.Name] != string(m.Value) {
				t.Fatalf("Members(%s): %q is %s", raw, m.Name, m.Value)
			}
		}
	})
}

func FuzzParseParams(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"idle_timeout_ms":5}`, `{"idle_timeout_ms":5,"idle_timeout_ms":6}`, `{"a":{"b":[1,2,{}]}}`, `[[[[`, "\xef\xbb\xbf{}", `{"max_concurrency":1e3}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, problems := ParseParams(raw)
		if len(problems) > 0 {
			return
		}
		again, problems := ParseParams(p.JSON())
		if len(problems) > 0 || !reflect.DeepEqual(p, again) {
			t.Fatalf("%q is read as %s and then as %s: %v", raw, p.JSON(), again.JSON(), problems)
		}
	})
}
