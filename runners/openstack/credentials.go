package openstack

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"gopkg.in/yaml.v3"

	"whybot/runners"
)

// credentials are what one entry of clouds.yaml says.
type credentials struct {
	auth  gophercloud.AuthOptions
	where gophercloud.EndpointOpts
	tls   *tls.Config
}

func readCredentials(o Options) (credentials, error) {
	getenv := o.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	name := o.Cloud
	if name == "" {
		name = getenv("OS_CLOUD")
	}
	source, opts := "clouds.yaml", []clouds.ParseOption{clouds.WithRegion(getenv("OS_REGION_NAME")), clouds.WithEndpointType(getenv("OS_INTERFACE"))}
	switch {
	case name == "" && o.CloudsFile == "":
		doc, err := cloudFromEnv(getenv)
		if err != nil {
			return credentials{}, err
		}
		source, name = "the environment", envCloud
		opts = append(opts, clouds.WithCloudsYAML(bytes.NewReader(doc)))
	case o.CloudsFile != "":
		source = o.CloudsFile
		opts = append(opts, clouds.WithLocations(o.CloudsFile))
	case getenv("OS_CLIENT_CONFIG_FILE") != "":
		source = getenv("OS_CLIENT_CONFIG_FILE")
		opts = append(opts, clouds.WithLocations(source))
	}
	if name == "" {
		return credentials{}, fail(runners.Invalid, source, "choose a cloud", "name the entry: openstack.cloud in the config, or OS_CLOUD", nil)
	}
	return parse(source, append(opts, clouds.WithCloudName(name)))
}

func parse(source string, opts []clouds.ParseOption) (creds credentials, err error) {
	const op = "read the credentials"
	// The SDK dereferences the auth section without asking whether there is one.
	defer func() {
		if recover() != nil {
			creds, err = credentials{}, fail(runners.Invalid, source, op, "the entry has no auth section", nil)
		}
	}()
	creds.auth, creds.where, creds.tls, err = clouds.Parse(opts...)
	switch {
	case err != nil:
		return credentials{}, fail(runners.Invalid, source, op, parseHint(err), nil)
	case creds.auth.IdentityEndpoint == "":
		return credentials{}, fail(runners.Invalid, source, op, "auth_url is missing", nil)
	case creds.tls != nil && creds.tls.InsecureSkipVerify:
		return credentials{}, fail(runners.Invalid, source, op,
			"verify: false is set, but whybot always verifies certificates: name the authority with cacert instead", nil)
	}
	// A rejected token is dealt with in do: the SDK would log in again with
	// the context of whichever call came first.
	creds.auth.AllowReauth = false
	return creds, nil
}

// yamlLine finds the place in a YAML error.
var yamlLine = regexp.MustCompile(`line \d+`)

// parseHint says what is wrong without the SDK's words: a YAML error quotes
// the value it stumbled over, which may be the password.
func parseHint(err error) string {
	text := err.Error()
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return path.Path + ": " + path.Err.Error()
	case errors.Is(err, io.EOF):
		return "the file is empty"
	case strings.HasPrefix(text, "clouds file not found"):
		return text
	case strings.Contains(text, "not found in clouds.yaml"):
		return "there is no such entry under clouds"
	case strings.Contains(text, "CA Cert"):
		return "the file that cacert names holds no PEM certificate"
	case strings.Contains(text, "client cert"), strings.Contains(text, "tls:"):
		return "cert and key must name a client certificate and its key"
	case yamlLine.MatchString(text):
		return yamlLine.FindString(text) + " cannot be read as clouds.yaml"
	}
	return "it cannot be read as clouds.yaml"
}

// envCloud is the name of the entry that stands for the environment.
const envCloud = "environment"

// cloudFromEnv writes what the OS_ variables say as a clouds.yaml, so that
// there is one reading of domains and scopes and not two.
func cloudFromEnv(getenv func(string) string) ([]byte, error) {
	const op = "read the credentials"
	if getenv("OS_AUTH_URL") == "" {
		return nil, fail(runners.Invalid, "the environment", op,
			"no cloud is named: set openstack.cloud in the config, or OS_CLOUD, or OS_AUTH_URL and its companions", nil)
	}
	if v := strings.ToLower(getenv("OS_INSECURE")); v != "" && v != "0" && v != "false" {
		return nil, fail(runners.Invalid, "the environment", op,
			"OS_INSECURE is set, but whybot always verifies certificates: name the authority with OS_CACERT instead", nil)
	}
	auth := map[string]string{}
	for key, names := range map[string][]string{
		"auth_url":                      {"OS_AUTH_URL"},
		"username":                      {"OS_USERNAME"},
		"user_id":                       {"OS_USER_ID"},
		"password":                      {"OS_PASSWORD"},
		"token":                         {"OS_TOKEN", "OS_AUTH_TOKEN"},
		"project_name":                  {"OS_PROJECT_NAME", "OS_TENANT_NAME"},
		"project_id":                    {"OS_PROJECT_ID", "OS_TENANT_ID"},
		"user_domain_name":              {"OS_USER_DOMAIN_NAME"},
		"user_domain_id":                {"OS_USER_DOMAIN_ID"},
		"project_domain_name":           {"OS_PROJECT_DOMAIN_NAME"},
		"project_domain_id":             {"OS_PROJECT_DOMAIN_ID"},
		"domain_name":                   {"OS_DOMAIN_NAME"},
		"domain_id":                     {"OS_DOMAIN_ID"},
		"system_scope":                  {"OS_SYSTEM_SCOPE"},
		"application_credential_id":     {"OS_APPLICATION_CREDENTIAL_ID"},
		"application_credential_name":   {"OS_APPLICATION_CREDENTIAL_NAME"},
		"application_credential_secret": {"OS_APPLICATION_CREDENTIAL_SECRET"},
	} {
		for _, n := range names {
			if v := getenv(n); v != "" && auth[key] == "" {
				auth[key] = v
			}
		}
	}
	cloud := map[string]any{"auth": auth}
	for key, name := range map[string]string{"cacert": "OS_CACERT", "cert": "OS_CERT", "key": "OS_KEY"} {
		if v := getenv(name); v != "" {
			cloud[key] = v
		}
	}
	return yaml.Marshal(map[string]any{"clouds": map[string]any{envCloud: cloud}})
}
