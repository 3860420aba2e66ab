package slackfake

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// file is an upload in one of its states: announced, received, completed and, after the share delay, ready.
type file struct {
	id, name, title, alt, snippet string
	length                        int
	data                          []byte
	received, completed, ready    bool
	deleted                       bool
	created                       time.Time
	channel, shareTS, threadTS    string
}

// File is an upload as a test sees it.
type File struct {
	ID, Name, Title, AltText string
	Data                     []byte
	Channel, ThreadTS        string // Where it was shared; empty for a private file.
	Shared                   bool   // Whether people can see it yet.
	Deleted                  bool
}

// Files returns everything that was completely uploaded, in the order of announcement.
func (s *Server) Files() []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []File
	for _, id := range sortedKeys(s.files) {
		f := s.files[id]
		if f.completed {
			out = append(out, File{
				ID: f.id, Name: f.name, Title: f.title, AltText: f.alt, Data: slices.Clone(f.data), Channel: f.channel,
				ThreadTS: f.threadTS, Shared: f.shareTS != "", Deleted: f.deleted,
			})
		}
	}
	return out
}

func filesGetUploadURL(s *Server, c *call) (reply, *apiError) {
	n, err := strconv.Atoi(c.get("length"))
	if c.get("filename") == "" || err != nil || n <= 0 {
		return nil, fail("invalid_arguments")
	}
	f := &file{
		id: s.newIDLocked("F"), name: c.get("filename"), length: n, alt: c.get("alt_txt"), snippet: c.get("snippet_type"),
		created: s.clock.Now(),
	}
	s.files[f.id] = f
	if strings.HasPrefix(fileType(f.name), "image/") && f.alt == "" {
		s.violateLocked("missing_alt_text", c.method, "image %s was announced without alt_txt", f.name)
	}
	return reply{"upload_url": s.base() + "/upload/" + f.id, "file_id": f.id}, nil
}

func fileType(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return mime.TypeByExtension(name[i:])
	}
	return ""
}

func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request, id string) {
	fault := s.takeFault(MethodUpload)
	if !s.before(w, r, fault) {
		s.logCall(Call{Method: MethodUpload, Error: faultName(fault)})
		return
	}
	data, err := uploadedBytes(r)
	if err == nil {
		err = s.receive(id, data)
	}
	logged := Call{Method: MethodUpload, Args: map[string]string{"file": id}}
	if err != nil {
		logged.Error = err.Error()
	}
	s.logCall(logged)
	switch {
	case fault.ResetAfterCommit:
		reset(w)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		_, _ = fmt.Fprintf(w, "OK - %d", len(data))
	}
}

// uploadedBytes reads the file whether it came as a form part or as the bare body. mime/multipart, unlike some parsers,
// treats a repeated closing boundary as the epilogue that it is.
func uploadedBytes(r *http.Request) ([]byte, error) {
	const maxUpload = 16 << 20
	body := http.MaxBytesReader(nil, r.Body, maxUpload)
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return io.ReadAll(body)
	}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			return nil, fmt.Errorf("no file in the form: %w", err)
		}
		if part.FileName() != "" {
			return io.ReadAll(part)
		}
	}
}

func (s *Server) receive(id string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[id]
	switch {
	case f == nil || f.received:
		return fmt.Errorf("upload address is unknown or used up")
	case len(data) != f.length:
		return fmt.Errorf("got %d bytes, %d were announced", len(data), f.length)
	}
	f.data, f.received = data, true
	return nil
}

func filesCompleteUpload(s *Server, c *call) (reply, *apiError) {
	var entries []struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	if err := json.Unmarshal([]byte(c.get("files")), &entries); err != nil || len(entries) == 0 {
		return nil, fail("invalid_arguments")
	}
	channel, e := s.shareTargetLocked(c)
	if e != nil {
		return nil, e
	}
	for _, x := range entries {
		if f := s.files[x.ID]; f == nil || !f.received || f.completed {
			return nil, fail("file_not_found")
		}
	}
	var comment content
	if c.get("initial_comment") != "" || c.get("blocks") != "" {
		d := draft{text: c.get("initial_comment"), blocks: c.get("blocks")}
		if d.text != "" {
			d.blocks = "" // initial_comment wins over blocks.
		}
		if comment, e = s.acceptLocked(c.method, d); e != nil {
			return nil, e
		}
	}
	var wire []any
	var done []*file
	for _, x := range entries {
		f := s.files[x.ID]
		f.title, f.completed, f.channel, f.threadTS = x.Title, true, channel, c.get("thread_ts")
		done = append(done, f)
		wire = append(wire, map[string]any{"id": f.id, "title": f.title})
	}
	// Slack answers before the file is processed and visible, which is what makes naive use of it fail.
	s.later(s.options.ShareDelay, func() { s.shareLocked(done, comment) })
	return reply{"files": wire}, nil
}

// shareTargetLocked reads where completed files are to appear; empty means that they stay private.
func (s *Server) shareTargetLocked(c *call) (string, *apiError) {
	id := c.get("channel_id")
	if id == "" {
		id = c.get("channels")
	}
	switch {
	case id == "" && c.get("thread_ts") != "", strings.Contains(id, ","):
		return "", fail("invalid_arguments") // A thread needs exactly one channel, and this model shares to one only.
	case id == "":
		return "", nil
	}
	ch, e := s.writableLocked(id)
	if e != nil {
		return "", e
	}
	return ch.ID, s.threadLocked(c.method, ch.ID, c.get("thread_ts"))
}

func (s *Server) shareLocked(done []*file, comment content) {
	var ids []string
	for _, f := range done {
		f.ready = !f.deleted
		if f.ready {
			ids = append(ids, f.id)
		}
	}
	first := done[0]
	if first.channel == "" || len(ids) == 0 {
		s.notifyLocked()
		return
	}
	m := s.storeLocked(Message{Channel: first.channel, User: s.people.BotUserID, ThreadTS: first.threadTS, Files: ids}, comment)
	for _, f := range done {
		f.shareTS = m.TS
	}
}

// fileLocked finds a file that the bot may see.
func (s *Server) fileLocked(id string) (*file, *apiError) {
	f := s.files[id]
	switch {
	case f == nil || !f.completed:
		return nil, fail("file_not_found")
	case f.deleted:
		return nil, fail("file_deleted")
	}
	return f, nil
}

func filesInfo(s *Server, c *call) (reply, *apiError) {
	f, e := s.fileLocked(c.get("file"))
	if e != nil {
		return nil, e
	}
	return reply{"file": s.wireFileLocked(f), "comments": []any{}, "paging": map[string]any{"count": 1, "total": 0, "page": 1, "pages": 0}}, nil
}

func filesDelete(s *Server, c *call) (reply, *apiError) {
	f, e := s.fileLocked(c.get("file"))
	if e != nil {
		return nil, e
	}
	f.deleted = true
	if m := s.findLocked(f.channel, f.shareTS); m != nil {
		m.Files = slices.DeleteFunc(m.Files, func(id string) bool { return id == f.id })
		if len(m.Files) == 0 && m.Text == "" && m.Blocks == nil {
			m.remove(s.clock.Now())
		}
	}
	return reply{}, nil
}

func (s *Server) wireFileLocked(f *file) map[string]any {
	w := map[string]any{
		"id": f.id, "name": f.name, "title": f.title, "alt_txt": f.alt, "size": f.length, "created": f.created.Unix(),
		"timestamp": f.created.Unix(), "user": s.people.BotUserID, "mode": "hosted", "file_access": "visible",
		"is_public": false, "channels": []string{}, "groups": []string{}, "ims": []string{},
	}
	if f.ready { // Slack fills the type in while processing: clients poll for it.
		w["mimetype"] = fileType(f.name)
	}
	ch := s.people.channels[f.channel]
	if f.shareTS == "" || ch == nil {
		return w
	}
	field, visibility := "channels", "public"
	switch {
	case ch.IM:
		field, visibility = "ims", "private"
	case ch.Private:
		field, visibility = "groups", "private"
	}
	w[field] = []string{ch.ID}
	w["is_public"] = visibility == "public"
	share := map[string]any{"ts": f.shareTS, "channel_name": ch.Name, "team_id": s.people.TeamID}
	if f.threadTS != "" {
		share["thread_ts"] = f.threadTS
	}
	w["shares"] = map[string]any{visibility: map[string]any{ch.ID: []any{share}}}
	return w
}
