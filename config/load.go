package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

const envPrefix = "BEDSIDE_"

// Load reads the configuration in three layers, each over the one before: Default, the YAML
// document (may be empty) and the environment (in the form of os.Environ). The environment variable
// of a key is BEDSIDE_ and the key in capitals, with _ for dots; lists of texts are separated by
// commas, lists of structs are YAML. An empty variable counts as unset.
//
// All errors are returned at once, joined; each names its key and says what would be right. None
// repeats a value, which may be a secret in the wrong place.
func Load(document []byte, environ []string) (Config, error) {
	return load(document, environ, Config.problems)
}

// LoadServer is Load with what else a server in service needs: see Config.ValidateServer.
func LoadServer(document []byte, environ []string) (Config, error) {
	return load(document, environ, Config.serverProblems)
}

// LoadRelay is Load with what else a relay of its own needs.
func LoadRelay(document []byte, environ []string) (Config, error) {
	return load(document, environ, Config.relayProblems)
}

func load(document []byte, environ []string, problems func(Config) []error) (Config, error) {
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(document)); err != nil {
		return Config{}, fmt.Errorf("config: not YAML: %w", err)
	}
	errs := applyEnvironment(v, environ)
	cfg := Default()
	hooks := mapstructure.ComposeDecodeHookFunc(
		mapstructure.TextUnmarshallerHookFunc(),
		refuseBareDuration,
		mapstructure.StringToTimeDurationHookFunc(),
		mapstructure.StringToSliceHookFunc(","),
	)
	if err := v.UnmarshalExact(&cfg, viper.DecodeHook(hooks)); err != nil {
		errs = append(errs, decodeErrors(err)...)
	}
	errs = append(errs, problems(cfg)...)
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}
	return cfg, nil
}

// applyEnvironment sets one key for each variable of ours. It is not left to viper's AutomaticEnv,
// which never notices a misspelt variable and reads the process's environment behind the caller's
// back.
func applyEnvironment(v *viper.Viper, environ []string) []error {
	byEnv := make(map[string]key)
	for _, k := range keys() {
		if k.env != "" {
			byEnv[k.env] = k
		}
	}
	var errs []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || value == "" {
			continue
		}
		k, known := byEnv[name]
		if !known {
			errs = append(errs, fmt.Errorf("%s: unknown variable%s", name, nearest(name, byEnv)))
			continue
		}
		if !k.isStructs() {
			v.Set(k.name, value)
			continue
		}
		var list []any
		if err := yaml.Unmarshal([]byte(value), &list); err != nil {
			errs = append(errs, fmt.Errorf("%s: must be %s in YAML", name, k.expects()))
			continue
		}
		v.Set(k.name, list)
	}
	return errs
}

// decodeErrors turns mapstructure's tree of errors into one error per key, without values.
func decodeErrors(err error) []error {
	byName := make(map[string]key)
	for _, k := range keys() {
		byName[k.name] = k
	}
	var errs []error
	for _, e := range leaves(err) {
		// mapstructure names the whole by its type since 2.5.0.
		name, inner := strings.TrimPrefix(e.Name(), "config.Config"), e.Unwrap()
		if unknown, ok := strings.CutPrefix(inner.Error(), "has invalid keys: "); ok {
			for _, child := range strings.Split(unknown, ", ") {
				path := strings.TrimPrefix(strings.TrimPrefix(name+"."+child, "config.Config"), ".") // mapstructure 2.5 names the root
				errs = append(errs, fmt.Errorf("%s: unknown key%s", path, nearest(withoutIndex(path), byName)))
			}
			continue
		}
		k, known := byName[withoutIndex(name)]
		if !known {
			errs = append(errs, fmt.Errorf("%s: must be a group of keys", name))
			continue
		}
		errs = append(errs, fmt.Errorf("%s: must be %s", name, k.expects()))
	}
	return errs
}

// refuseBareDuration keeps "window_lead: 30" from meaning 30 nanoseconds.
func refuseBareDuration(from, to reflect.Type, value any) (any, error) {
	if to == reflect.TypeFor[time.Duration]() && from != to && from.Kind() != reflect.String {
		return nil, errors.New("a duration without a unit")
	}
	return value, nil
}

// leaves returns the decode errors that have no decode errors below them.
func leaves(err error) []*mapstructure.DecodeError {
	var many interface{ Unwrap() []error }
	var one *mapstructure.DecodeError
	switch {
	case errors.As(err, &one) && isSelf(err, one):
		if below := leaves(one.Unwrap()); len(below) > 0 {
			return below
		}
		return []*mapstructure.DecodeError{one}
	case errors.As(err, &many):
		var all []*mapstructure.DecodeError
		for _, e := range many.Unwrap() {
			all = append(all, leaves(e)...)
		}
		return all
	}
	return nil
}

func isSelf(err error, one *mapstructure.DecodeError) bool {
	self, ok := err.(*mapstructure.DecodeError) //nolint:errorlint // asks about this very node of the tree
	return ok && self == one
}
