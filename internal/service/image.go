package service

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

func (p Parts) imageMethods() map[string]rpcserver.Handler {
	return map[string]rpcserver.Handler{
		api.MethodImageList: rpcserver.Bind(func(ctx context.Context, _ api.Empty) (any, error) {
			images, err := p.Images.List(ctx)
			if err != nil {
				return nil, err
			}
			list := api.ImageList{Images: make([]api.Image, len(images))}
			for i, img := range images {
				if list.Images[i], err = p.imageFrom(ctx, img); err != nil {
					return nil, err
				}
			}
			return list, nil
		}),
		api.MethodImageInspect: rpcserver.Bind(func(ctx context.Context, r api.ImageRef) (any, error) {
			img, err := p.Images.Find(ctx, r.Image)
			if err != nil {
				return nil, err
			}
			return p.imageFrom(ctx, img)
		}),
		api.MethodImageBootstrapBegin: rpcserver.Bind(func(ctx context.Context, r api.ImageBootstrapRequest) (any, error) {
			req, err := p.Images.BootstrapRequest(ctx, r.Name, r.Key)
			return p.begin(ctx, req, err)
		}),
		api.MethodImageDelete: rpcserver.Bind(func(ctx context.Context, r api.ImageDeleteRequest) (any, error) {
			return begun(p.Images.Delete(ctx, r.Image, r.Key, p.Operations))
		}),
	}
}

func (p Parts) imageFrom(ctx context.Context, i image.Image) (api.Image, error) {
	users, err := p.VMs.ImageUsers(ctx, i.ID)
	return api.Image{
		ID: i.ID, Name: i.Name, OS: i.OS, User: i.User, SizeBytes: i.SizeBytes, UsedBytes: i.UsedBytes,
		CreatedAt: i.CreatedAt, Recipe: i.Recipe, VMs: users,
	}, err
}
