package cloudfake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// WriteCloudsYAML writes a clouds.yaml into dir in which cloudName logs in
// here as the first user who has the role, and returns its path. The cloud
// must be serving.
func (c *Cloud) WriteCloudsYAML(dir, cloudName, role string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.url == "" {
		return "", errors.New("cloudfake: WriteCloudsYAML before Serve: there is no address to write")
	}
	u := slices.IndexFunc(c.model.Users, func(u User) bool { return u.Role == role })
	if u < 0 {
		return "", fmt.Errorf("cloudfake: no user has the role %q", role)
	}
	user := c.model.Users[u]
	path := filepath.Join(dir, "clouds.yaml")
	text := fmt.Sprintf(`clouds:
  %s:
    region_name: RegionOne
    identity_api_version: 3
    auth:
      auth_url: %s
      username: %s
      password: %s
      project_id: %s
      user_domain_name: Default
`, strconv.Quote(cloudName), strconv.Quote(c.url+"/identity/v3"), strconv.Quote(user.Name),
		strconv.Quote(user.Password), strconv.Quote(user.ProjectID))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("cloudfake: %w", err)
	}
	return path, nil
}
