"""The hosted pages: server-rendered, whole without JavaScript, quicker with htmx."""
