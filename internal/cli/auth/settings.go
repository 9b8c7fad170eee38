package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pelletier/go-toml/v2"

	"github.com/banger-vm/banger/internal/credential"
)

// readSettings reads the table auth of config.toml; the other tables are the
// daemon's to judge.
func readSettings(path string) (credential.Settings, error) {
	var file struct {
		Auth credential.Settings `toml:"auth"`
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file.Auth, nil
	}
	if err != nil {
		return file.Auth, fmt.Errorf("reading the configuration: %w", err)
	}
	err = toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&file)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		err = nil
		for _, unknown := range strict.Errors {
			if key := unknown.Key(); len(key) > 1 && key[0] == "auth" {
				return file.Auth, fmt.Errorf("%s has a key that banger does not know:\n%s", path, unknown.String())
			}
		}
	}
	if err == nil {
		err = file.Auth.Check()
	}
	if err != nil {
		return file.Auth, fmt.Errorf("%s cannot be used: %w", path, err)
	}
	return file.Auth, nil
}
