package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// markup runs in a page that takes text for markup.
const markup = `"><img src=x onerror="window.owned=1"><script>window.owned=1</script><svg/onload=window.owned=1>` +
	"</pre><iframe srcdoc='<script>parent.owned=1</script>'></iframe><a href=\"javascript:window.owned=1\" id=hostile>x</a>`![x](x\"onerror=\"window.owned=1)`{{constructor.constructor('window.owned=1')()}}"

// pageWithHostileAnswers serves the docs, and an API whose every text is markup.
func pageWithHostileAnswers(t *testing.T) string {
	text, err := json.Marshal(markup)
	if err != nil {
		t.Fatal(err)
	}
	say := func(status int, contentType, body string) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			ctx.SetStatusCode(status)
			ctx.SetContentType(contentType)
			ctx.Response.Header.Set("X-Request-Id", "<img src=x onerror=window.owned=1>")
			ctx.SetBodyString(strings.ReplaceAll(body, "TEXT", string(text)))
		}
	}
	return start(t, func(r *router.Router) {
		r.GET("/admin/v1/providers", say(200, "application/json", `{"version":1,"providers":[{"id":1,"provider_key":TEXT,"api_base":TEXT,"model_mapping":{TEXT:TEXT}}]}`))
		r.GET("/health/detailed", say(200, "text/html", `<html><body>`+markup+`</body></html>`))
		r.GET("/admin/v1/config/version", say(401, "application/json", `{"detail":TEXT}`))
		r.POST("/v1/chat/completions", say(200, "text/event-stream", `data: {"choices":[{"delta":{"content":TEXT}}]}`+"\n\n"+`data: {"error":{"code":TEXT,"message":TEXT}}`+"\n\n"))
	})
}

// S30: names of providers and models, error texts, answers of models and what
// stands in the address of the page are text in it: nothing of them runs.
func TestBrowserRunsNothingOfOthers(t *testing.T) {
	origin := pageWithHostileAnswers(t)
	ctx, w := browse(t, 1400, 950)
	do(t, ctx, chromedp.Navigate(origin+"/docs"), waitFor(shadow+`?.querySelectorAll(".nav-bar-path").length > 0`))
	for _, operation := range []string{"get-/admin/v1/providers", "get-/health/detailed", "get-/admin/v1/config/version", "post-/v1/chat/completions"} {
		mine := shadow + `?.getElementById("` + operation + `")?.querySelector("api-request")?.shadowRoot`
		shown := `(` + mine + `?.textContent || "").includes("onerror")`
		do(t, ctx,
			script(`location.hash = "`+operation+`"`),
			waitFor(`!!`+mine+`?.querySelector("[part~='btn-try']")`),
			script(mine+`.querySelector("[part~='btn-try']").click()`),
			waitFor(shown),
		)
	}
	if !strings.Contains(evaluate[string](t, ctx, `document.getElementById("live-text").textContent`), "onerror") {
		t.Error("the streamed answer was not shown")
	}
	notOwned(t, ctx, "answers")
	for _, address := range []string{
		"/docs?spec-url=https://evil.example/x.json&x=<script>window.owned=1</script>#<img src=x onerror=window.owned=1>",
		"/docs#get-/v1/models\"]);window.owned=1//--><script>window.owned=1</script>",
	} {
		do(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(origin+address), waitFor(shadow+`?.querySelectorAll(".nav-bar-path").length > 0`))
		notOwned(t, ctx, address)
	}
	w.stayedAt(t, origin)
}

// notOwned fails if a script of somebody else's has run, in the page or in its
// renderer, or if an element of somebody else's stands there.
func notOwned(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	if evaluate[bool](t, ctx, `window.owned === 1`) {
		t.Errorf("%s: a foreign script has run", what)
	}
	foreign := `(() => { const all = r => [...r.querySelectorAll("*")].flatMap(e => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
		return all(document).filter(e => e.id === "hostile" || e.tagName === "IFRAME" || e.hasAttribute("onerror") || e.hasAttribute("onload")).length })()`
	if n := evaluate[int](t, ctx, foreign); n != 0 {
		t.Errorf("%s: %d foreign elements", what, n)
	}
}

// S30, S31, S33: the browser itself holds pages of other origins off: they
// cannot frame the page, read an answer, send a key, or send JSON as such; and
// a script that gets into the page's markup is not run.
func TestBrowserKeepsOtherOriginsOut(t *testing.T) {
	var withKey, asJSON, blind atomic.Int64
	var seen sync.Map
	origin := start(t, func(r *router.Router) {
		r.ANY("/admin/{rest:*}", func(ctx *fasthttp.RequestCtx) {
			h := &ctx.Request.Header
			seen.Store(string(ctx.Method())+" "+string(h.Peek("Sec-Fetch-Site")), true)
			switch {
			case ctx.IsOptions():
				ctx.SetStatusCode(405)
				return
			case len(h.Peek("Authorization")) > 0:
				withKey.Add(1)
			case string(h.ContentType()) == "application/json":
				asJSON.Add(1)
			default:
				blind.Add(1) // without the key: 401 (package admin)
			}
			ctx.SetBodyString(`{"secret":"readable"}`)
		})
	})
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>evil</title><iframe id=frame src="` + origin + `/docs"></iframe>`))
	}))
	t.Cleanup(evil.Close)
	ctx, _ := browse(t, 800, 600)
	do(t, ctx, chromedp.Navigate(evil.URL), waitFor(`document.readyState === "complete"`))

	attempt := func(options string) string {
		expression := `fetch("` + origin + `/admin/v1/providers", ` + options + `).then(r => r.text()).then(t => "read " + t, () => "refused")`
		value, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for _, options := range []string{
		`{headers: {authorization: "Bearer x"}}`, `{method: "POST", headers: {"content-type": "application/json"}, body: "{}"}`, `{method: "DELETE"}`,
		`{method: "POST", body: "{}"}`, `{credentials: "include"}`, `{method: "POST", mode: "no-cors", body: "{}", credentials: "include"}`,
	} {
		if got := attempt(options); strings.Contains(got, "readable") {
			t.Errorf("%s: %s", options, got)
		}
	}
	if withKey.Load() != 0 || asJSON.Load() != 0 || blind.Load() == 0 {
		t.Errorf("%d requests with a key, %d as JSON, %d blind ones arrived", withKey.Load(), asJSON.Load(), blind.Load())
	}
	if evaluate[bool](t, ctx, `(() => { try { return document.getElementById("frame").contentDocument !== null } catch { return true } })()`) {
		t.Error("the frame can be read")
	}

	do(t, ctx, chromedp.Navigate(origin+"/docs"), waitFor(`document.readyState === "complete"`),
		script(`document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.owned=1'>")`),
		script(`{ const s = document.createElement("script"); s.textContent = "window.owned=1"; document.body.append(s) }`),
		waitFor(`[...document.images].every(i => i.complete)`))
	if evaluate[bool](t, ctx, `window.owned === 1`) {
		t.Error("the policy lets an inline script run")
	}
}
