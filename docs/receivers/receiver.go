// A receiver of noticebus webhooks. Go 1.21 or newer, standard library only.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

type event struct {
	ID, Type string
	Data     struct{ Challenge string } // and what else your code wants
}

var (
	secret, bad = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	seen        sync.Map // keep ids in your database: it survives a restart, and this does not
	work        = make(chan event, 10000)
)

// isGenuine checks age and signature of the body as it came, before anything parses it.
func isGenuine(h http.Header, body []byte) bool {
	id, sentAt := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(sentAt, 10, 64)
	if id == "" || err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, sentAt, body)
	right := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	genuine := false // several v1 signatures come while the secret is rotated: one is enough
	for _, one := range strings.Fields(h.Get("webhook-signature")) {
		genuine = hmac.Equal([]byte(one), []byte(right)) || genuine
	}
	return genuine
}

func receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
	var got event
	if err != nil || !isGenuine(r.Header, body) {
		w.WriteHeader(http.StatusUnauthorized)
	} else if json.Unmarshal(body, &got) != nil {
		w.WriteHeader(http.StatusBadRequest)
	} else if got.Type == "org.noticebus.subscription.verify.v1" {
		io.WriteString(w, got.Data.Challenge)
	} else if _, repeat := seen.LoadOrStore(got.ID, true); !repeat { // a repeat is dropped
		work <- got // store it durably here, before the 200 that both are answered
	}
}

func main() {
	if bad != nil || len(secret) < 24 { // with an empty one, anybody could sign
		panic("WEBHOOK_SECRET is not the subscription's secret")
	}
	server := http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(receive), ReadTimeout: 10 * time.Second}
	go func() { panic(server.ListenAndServe()) }()
	for one := range work {
		fmt.Println("handled", one.ID, one.Type) // your code here
	}
}
