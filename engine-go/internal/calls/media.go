package calls

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.mau.fi/whatsmeow"
)

// mediaTypes by kind of message: WhatsApp derives the media's keys from this, so it must fit the message.
var mediaTypes = map[string]whatsmeow.MediaType{
	"image":          whatsmeow.MediaImage,
	"sticker":        whatsmeow.MediaImage,
	"video":          whatsmeow.MediaVideo,
	"gif":            whatsmeow.MediaVideo,
	"audio":          whatsmeow.MediaAudio,
	"voice":          whatsmeow.MediaAudio,
	"document":       whatsmeow.MediaDocument,
	"link_thumbnail": whatsmeow.MediaLinkThumbnail,
}

// mostBytes is what neonize takes; WhatsApp takes no more for documents.
const mostBytes = 1<<31 - 1

type uploaded struct {
	URL           string `json:"url"`
	DirectPath    string `json:"direct_path"`
	Handle        string `json:"handle"`
	MediaKey      []byte `json:"media_key"`
	FileSHA256    []byte `json:"file_sha256"`
	FileEncSHA256 []byte `json:"file_enc_sha256"`
	FileLength    uint64 `json:"file_length"`
}

// upload encrypts a local file, uploads it, and returns what the message has to say about it. It holds no file in memory:
// the ciphertext lies beside the file while it is sent. It ends with its context.
func upload(in *arguments) action {
	path := in.text("path")
	kind := oneOf(
		in, "kind", "the kind is one of image, sticker, video, gif, audio, voice, document, link_thumbnail", mediaTypes,
	)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, unreadable(err)
		}
		defer func() { _ = file.Close() }()
		about, err := file.Stat()
		if err != nil {
			return nil, unreadable(err)
		}
		if !about.Mode().IsRegular() || about.Size() == 0 || about.Size() > mostBytes {
			return nil, refuse("Invalid", "the file is empty or too large")
		}
		sealed, err := nameless(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer func() { _ = sealed.Close() }()
		answer, err := client.UploadReader(ctx, file, sealed, kind)
		if err != nil {
			return nil, err
		}
		return uploaded{
			URL:           answer.URL,
			DirectPath:    answer.DirectPath,
			Handle:        answer.Handle,
			MediaKey:      answer.MediaKey,
			FileSHA256:    answer.FileSHA256,
			FileEncSHA256: answer.FileEncSHA256,
			FileLength:    answer.FileLength,
		}, nil
	}
}

// nameless is a new file in a folder that nobody finds there: a process that is killed leaves none behind.
func nameless(folder string) (*os.File, error) {
	file, err := os.CreateTemp(folder, ".sealed-*")
	if err != nil {
		return nil, refuse("Failed", "the file cannot be encrypted: "+reason(err))
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, refuse("Failed", "the file cannot be encrypted: "+reason(err))
	}
	return file, nil
}

var jpegStart = []byte{0xff, 0xd8, 0xff}

// jpeg is the picture in a file of this machine; none for an empty path. The caller of the connector cannot name one:
// connector/whatsam_connector/http/engine_calls.py puts pictures into files.
func jpeg(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !bytes.HasPrefix(content, jpegStart) {
		return nil, refuse("Invalid", "the picture is no JPEG")
	}
	return content, nil
}

func unreadable(err error) *Refusal {
	return refuse("FileUnreadable", "the file cannot be read: "+reason(err))
}

// reason is why a file could not be used, without its path.
func reason(err error) string {
	var about *fs.PathError
	if errors.As(err, &about) {
		return about.Err.Error()
	}
	return err.Error()
}
