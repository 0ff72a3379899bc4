package cgroups

import "context"

func (m *manager) OOM(ctx context.Context) (<-chan struct{}, error) { return nil, ErrNotExist }
