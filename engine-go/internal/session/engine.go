package session

import (
	"errors"
	"net/http"
	"sync"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/host"
	"whatsam.io/engine/internal/protocol"
)

const (
	// parallel is how many sessions are opened at the same time.
	parallel = 16
	// nameOnThePhone is shown in the phone's list of linked devices.
	nameOnThePhone = "Whatsam"
)

// Engine opens sessions with whatsmeow.
type Engine struct{ network *network }

// NewEngine returns the engine; once per process, because whatsmeow keeps what it says about a device in a variable.
func NewEngine() *Engine {
	store.DeviceProps.Os = proto.String(nameOnThePhone)
	store.DeviceProps.PlatformType = waCompanionReg.DeviceProps_CHROME.Enum()
	return &Engine{network: newNetwork()}
}

// Start opens every session, some at a time, and begins to connect them.
func (engine *Engine) Start(starts []protocol.SessionStart, tools host.Tools) map[string]host.Session {
	sessions := make(map[string]host.Session, len(starts))
	slots := make(chan struct{}, parallel)
	all := make([]*session, 0, len(starts))
	var opening sync.WaitGroup
	for _, start := range starts {
		made := newSession(start, tools)
		sessions[start.UID] = made
		all = append(all, made)
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			defer made.contain("opening")
			if err := made.open(engine.network); err != nil {
				made.fail(err.Error())
				return
			}
			made.spawn("connecting", made.run)
		})
	}
	opening.Wait()
	go tidyForEver(all)
	return sessions
}

var _ host.Engine = (*Engine)(nil)

var errProxy = errors.New("not the address of an http, https or socks5 proxy")

// network is what the sessions without a proxy of their own share.
type network struct{ client *http.Client }

func newNetwork() *network {
	return &network{&http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}}
}

// use makes everything of a client go through its proxy (http, https or socks5, the password in the URL), or through the shared connections.
func (network *network) use(client *whatsmeow.Client, proxy *string) error {
	if proxy == nil || *proxy == "" {
		client.SetMediaHTTPClient(network.client)
		client.SetWebsocketHTTPClient(network.client)
		client.SetPreLoginHTTPClient(network.client)
		return nil
	}
	if err := client.SetProxyAddress(*proxy); err != nil {
		return errProxy // the error's own text may hold the password
	}
	return nil
}
