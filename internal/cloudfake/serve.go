package cloudfake

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Request is one that the cloud was asked, as far as tests care.
type Request struct {
	Service, Method, Path string
	Query                 url.Values
	Microversion          string // as asked for; empty when none was
}

// Requests returns what was asked so far, in order of arrival.
func (c *Cloud) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// object is a JSON object.
type object = map[string]any

// idOf returns the id of a rendered resource; every one has its own.
func idOf(o object) string {
	id, _ := o["id"].(string)
	return id
}

// A call is one request with all that a handler needs to answer it. Handlers
// run with the cloud's lock held.
type call struct {
	*http.Request
	body  []byte
	base  string // scheme and host, as the client wrote them
	cloud *Cloud
	who   token
	// microversion is the minor number of the compute API in force.
	microversion int
}

func (q *call) model() *Model { return &q.cloud.model }
func (q *call) admin() bool   { return q.who.user.Role == "admin" }

// mayRead says whether the caller may see something of the project.
func (q *call) mayRead(project string) bool { return q.admin() || project == q.who.user.ProjectID }

// An answer is what a handler wants sent.
type answer struct {
	status int
	body   any // JSON, or a string of HTML
	header http.Header
	after  func() // runs without the lock, before the answer is sent
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

// maxBody bounds what a client may send; the largest request is a login.
const maxBody = 1 << 20

// ServeHTTP answers one request of any of the services.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, handle := c.route(r)
	c.mu.Lock()
	c.requests = append(c.requests, Request{
		Service: service, Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Microversion: askedMicroversion(r),
	})
	if c.skew != 0 {
		w.Header().Set("Date", time.Now().Add(c.skew).UTC().Format(http.TimeFormat))
	}
	c.mu.Unlock()

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body", http.StatusRequestEntityTooLarge)
		return
	}
	if c.suffer(service, w, r) {
		return
	}
	q := &call{Request: r, body: body, base: "http://" + r.Host, cloud: c}
	if r.TLS != nil { // a test put the handler behind a server of its own
		q.base = "https://" + r.Host
	}
	c.mu.Lock()
	a := handle(q)
	payload, err := a.encode() // with the lock: the answer may point into the model
	c.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if a.after != nil {
		a.after()
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", a.contentType())
	w.WriteHeader(a.status)
	_, _ = w.Write(payload) // a client that left is no concern of a fake
}

func (a answer) contentType() string {
	if _, isHTML := a.body.(string); isHTML {
		return "text/html; charset=UTF-8"
	}
	return "application/json"
}

func (a answer) encode() ([]byte, error) {
	if a.status == http.StatusNoContent {
		return nil, nil
	}
	if html, isHTML := a.body.(string); isHTML {
		return []byte(html), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(a.body)
	return buf.Bytes(), err
}

// route finds the service by the first part of the path. Each service stands
// under a path of its own, as on an all-in-one cloud behind one web server.
func (c *Cloud) route(r *http.Request) (service string, handle func(*call) answer) {
	prefix, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch prefix {
	case "identity":
		return "keystone", keystone
	case "compute":
		return "nova", nova
	case "networking":
		return "neutron", neutron
	case "volume":
		return "cinder", cinder
	}
	return "", func(*call) answer { return htmlNotFound() }
}

// rest returns the parts of the path behind the service's prefix.
func (q *call) rest() []string {
	parts := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	return parts[1:]
}

func htmlNotFound() answer {
	return answer{status: http.StatusNotFound, body: "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n" +
		"  <h1>404 Not Found</h1>\n  The resource could not be found.<br /><br />\n\n\n\n </body>\n</html>"}
}

// unauthorized is what the token middleware of Nova, Neutron and Cinder says.
func (q *call) unauthorized() answer {
	return answer{
		status: http.StatusUnauthorized,
		header: http.Header{"Www-Authenticate": {`Keystone uri="` + q.base + `/identity/v3"`}},
		body: object{"error": object{
			"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication.",
		}},
	}
}

// page cuts a list that is already in order to what limit and marker ask for
// and says whether more may follow.
func page(items []object, query url.Values, limit int) (cut []object, more bool) {
	if marker := query.Get("marker"); marker != "" {
		i := slices.IndexFunc(items, func(o object) bool { return o["id"] == marker })
		items = items[i+1:]
	}
	if limit <= 0 || len(items) < limit {
		return items, false
	}
	return items[:limit], true
}
