"""Files of received messages: fetched from WhatsApp's media host, opened, checked, and put into the object store.

`downloader` drives it for a whole worker; `sealed` opens a file while it streams; `outcomes` decides what an attempt
means. The work list is the table `media`; a message is stored and told before, and without, its file.
"""
