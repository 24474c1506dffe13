package web

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

var screenshots = flag.String("screenshots", "", "directory that the browser test puts pictures of the page into")

// findBrowser returns the program of a Chromium or Chrome.
func findBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("this test drives a real browser: apt-get install chromium")
	return ""
}

// watcher hears what the browser complains about and whom it asks.
type watcher struct {
	mu         sync.Mutex
	complaints []string
	asked      []string
}

func (w *watcher) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			w.complaints = append(w.complaints, fmt.Sprintf("console %s: %s", e.Type, e.Args[0].Value))
		}
	case *runtime.EventExceptionThrown:
		w.complaints = append(w.complaints, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded: // Content-Security-Policy violations and failed loads come here
		w.complaints = append(w.complaints, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		w.asked = append(w.asked, e.Request.URL)
	}
}

// browse starts a fresh browser that ends with the test.
func browse(t *testing.T, width, height int) (context.Context, *watcher) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits for the browser, so that its directory can be removed
	w := &watcher{}
	if err := chromedp.Listen(ctx, w.hear); err != nil { // starts the browser
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	do(t, limited, call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}))
	return limited, w
}

// pageWithModel serves the docs, and a model that streams three words.
func pageWithModel(t *testing.T, got *sync.Map) string {
	return start(t, func(r *router.Router) {
		r.POST("/v1/chat/completions", func(ctx *fasthttp.RequestCtx) {
			got.Store("authorization", string(ctx.Request.Header.Peek("Authorization")))
			got.Store("body", string(ctx.PostBody()))
			ctx.SetContentType("text/event-stream")
			ctx.SetBodyString(`data: {"choices":[{"delta":{"content":"Hello "}}]}` + "\n\n" +
				`data: {"choices":[{"delta":{"content":"from the gateway"}}]}` + "\n\n" +
				"data: [DONE]\n\n")
		})
	})
}

// The docs page renders every operation in a real browser, asks only its own
// origin, breaks no rule of its own policy, and can make a call.
func TestBrowserShowsAndTries(t *testing.T) {
	var got sync.Map
	origin := pageWithModel(t, &got)
	ctx, w := browse(t, 1400, 950)

	do(t, ctx,
		chromedp.Navigate(origin+"/"),
		waitFor(shadow+`?.querySelectorAll(".nav-bar-path").length > 0`),
		picture("overview.png"),
	)
	if title := evaluate[string](t, ctx, `document.title`); !strings.Contains(title, "llm-proxy") {
		t.Errorf("title %q", title)
	}
	listed := evaluate[int](t, ctx, shadow+`.querySelectorAll(".nav-bar-path").length`)
	if want := countOperations(t); listed != want {
		t.Errorf("the page lists %d operations, the description has %d", listed, want)
	}

	do(t, ctx,
		script(`location.hash = "post-/v1/chat/completions"`),
		script(`document.querySelector("rapi-doc").setApiKey("clientBearer", "sk-tried-in-a-browser")`),
		waitFor(`!!`+tryButton),
		picture("operation.png"),
		script(tryButton+`.click()`),
		waitFor(`document.getElementById("live-text").textContent === "Hello from the gateway"`),
		waitFor(`document.getElementById("live-figures").textContent.startsWith("complete")`),
		waitFor(request+`.textContent.includes("[DONE]")`),
		picture("tried.png"),
	)
	if auth, _ := got.Load("authorization"); auth != "Bearer sk-tried-in-a-browser" {
		t.Errorf("the page sent Authorization %q", auth)
	}
	if body, _ := got.Load("body"); !strings.Contains(fmt.Sprint(body), `"model"`) {
		t.Errorf("the page sent the body %q", body)
	}
	w.check(t, origin)
}

// On a small dark screen the page still works.
func TestBrowserOnAPhoneInTheDark(t *testing.T) {
	origin := pageWithModel(t, new(sync.Map))
	ctx, w := browse(t, 420, 850)
	dark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	do(t, ctx,
		call(emulation.SetEmulatedMedia, dark),
		chromedp.Navigate(origin+"/docs#post-/v1/chat/completions"),
		waitFor(`!!`+tryButton),
		picture("phone.png"),
	)
	w.check(t, origin)
}

// Where things are in the page, as JavaScript.
const (
	shadow    = `document.querySelector("rapi-doc")?.shadowRoot`
	request   = shadow + `?.querySelector("api-request")?.shadowRoot`
	tryButton = request + `?.querySelector("[part~='btn-try']")`
)

func (w *watcher) check(t *testing.T, origin string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, complaint := range w.complaints {
		t.Errorf("the browser complains: %s", complaint)
	}
	w.stayedLocked(t, origin)
}

// stayedAt fails if the browser asked anybody but the origin.
func (w *watcher) stayedAt(t *testing.T, origin string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stayedLocked(t, origin)
}

func (w *watcher) stayedLocked(t *testing.T, origin string) {
	t.Helper()
	for _, address := range w.asked {
		u, err := url.Parse(address)
		if err != nil || !(u.Scheme == "data" || u.Scheme == "blob" || u.Scheme+"://"+u.Host == origin) {
			t.Errorf("the page asked %s, which is not %s", address, origin)
		}
	}
	if len(w.asked) < 5 {
		t.Errorf("only %d requests were seen: %q", len(w.asked), w.asked)
	}
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// call sends one command of the browser's protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, command, params)
		return err
	})
}

func script(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](expression)
}

// waitFor returns when the JavaScript condition holds. (chromedp.Poll compiles
// its condition inside the page, which the page's policy rightly forbids.)
func waitFor(condition string) chromedp.Action[chromedp.Void] {
	wait := fmt.Sprintf(`new Promise(done => { const look = () => (%s) ? done() : requestAnimationFrame(look); look() })`, condition)
	return func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := chromedp.Evaluate[chromedp.Void](wait, chromedp.EvalAwaitPromise)(ctx, tab)
		if err != nil {
			err = fmt.Errorf("waiting for %s: %w", condition, err)
		}
		return chromedp.Void{}, err
	}
}

// picture keeps a picture of the page when -screenshots asks for it.
func picture(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if *screenshots == "" {
			return nil
		}
		png, err := chromedp.CaptureScreenshot()(ctx, tab)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(*screenshots, name), png, 0o644)
	})
}
