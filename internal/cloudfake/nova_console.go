package cloudfake

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// ConsoleToken is the token that every console of a server has. That of a real
// Nova is another one each time.
func ConsoleToken(serverID string) string {
	sum := sha256.Sum256([]byte("console of " + serverID))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// remoteConsole makes a console of type novnc, the only one there is.
func (q *call) remoteConsole(s *Server) answer {
	var body struct {
		Console struct{ Protocol, Type string } `json:"remote_console"`
	}
	if err := json.Unmarshal(q.body, &body); err != nil || body.Console.Protocol == "" {
		return novaError("badRequest", http.StatusBadRequest, "Invalid input for field/attribute remote_console.")
	}
	if status := or(s.Status, "ACTIVE"); status == "BUILD" || s.Host == "" {
		return novaError("conflictingRequest", http.StatusConflict, "Instance "+s.ID+" is not ready.")
	}
	if s.Console.Disabled || body.Console != (struct{ Protocol, Type string }{"vnc", "novnc"}) {
		return novaError("badRequest", http.StatusBadRequest, "Unavailable console type "+body.Console.Type+".")
	}
	base := or(q.model().ConsoleURL, "http://controller01:6080/vnc_lite.html")
	return ok(object{"remote_console": object{
		"protocol": "vnc", "type": "novnc", "url": base + "?" + url.Values{"path": {"?token=" + ConsoleToken(s.ID)}}.Encode(),
	}})
}

// consoleDoor tells administrators what is behind a token. Below 2.31 it does so
// only for consoles of a type that this cloud has not.
func (q *call) consoleDoor(token string) answer {
	if !q.admin() {
		return novaError("forbidden", http.StatusForbidden, "Policy doesn't allow os_compute_api:os-console-auth-tokens to be performed.")
	}
	m := q.model()
	i := slices.IndexFunc(m.Servers, func(s Server) bool { return ConsoleToken(s.ID) == token })
	switch {
	case i < 0:
		return novaError("itemNotFound", http.StatusNotFound, "Token not found")
	case q.microversion < 31:
		return novaError("unauthorized", http.StatusUnauthorized, "The requested console type details are not accessible")
	}
	s := m.Servers[i]
	port := s.Console.Port
	if port == 0 {
		port = 5900
	}
	return ok(object{"console": object{
		"instance_uuid": s.ID, "host": or(s.Console.Host, s.Host), "port": port, "internal_access_path": nil,
	}})
}
