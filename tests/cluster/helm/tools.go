//go:build tools

// Package tools pins the helm that the chart's test builds (see helm_kit.py). Its Kubernetes libraries are the versions
// of the local control plane, so that Go's build cache has most of them already.
package tools

import _ "helm.sh/helm/v4/pkg/cmd"
