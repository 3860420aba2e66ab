package slackfake_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// httpClient returns a client whose idle connections end with the test.
func httpClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// request sends one raw request, with the token as a header when there is one, and returns the body of the answer.
func request(t *testing.T, method, target, contentType, body, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := httpClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
