package api

import "time"

// Image is a base system that VMs stand on.
type Image struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	OS        string    `json:"os"`   // PRETTY_NAME of os-release
	User      string    `json:"user"` // the login user
	SizeBytes int64     `json:"size"` // apparent size of the root disk
	UsedBytes int64     `json:"used"` // what it takes on the host
	CreatedAt time.Time `json:"created_at"`
	Recipe    string    `json:"recipe,omitempty"` // digest of what it was made from
	VMs       []string  `json:"vms,omitempty"`    // names of the VMs that stand on it
}

// ImageRef names an image by name, ID or unique ID prefix.
type ImageRef struct {
	Image string `json:"image"`
}

// ImageBootstrapRequest asks for an image to be made from the host's packages.
type ImageBootstrapRequest struct {
	Name string `json:"name"` // "debian"
	Key  string `json:"idempotency_key,omitempty"`
}

// ImageDeleteRequest asks for an image to be removed. An image that a VM
// stands on is not removed (failed_precondition).
type ImageDeleteRequest struct {
	Image string `json:"image"`
	Key   string `json:"idempotency_key,omitempty"`
}

// ImageList is a list of images, by name.
type ImageList struct {
	Images []Image `json:"images"`
}
