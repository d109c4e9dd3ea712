"""Django's settings, flat, all of them from the environment (see env.py)."""

from typing import Any
from urllib.parse import urlsplit

import psycopg
from csp.constants import NONE, SELF
from psycopg.conninfo import conninfo_to_dict

from config import env, logs

ENVIRONMENT = env.load()

BASE_DIR = env.REPOSITORY
SECRET_KEY = ENVIRONMENT.django_key
DEBUG = False

_public = urlsplit(ENVIRONMENT.public_url)
ALLOWED_HOSTS = [_public.hostname or "", "127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "config.staff_admin.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "csp",
    "ninja",
    "apiauth",
    "portal",
]

MIDDLEWARE = [
    "apiauth.http.middleware.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    "portal.middleware.OneHostForPages",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "apiauth.http.middleware.ErrorsAsJson",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.middleware.CsrfProtection",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.PortalErrors",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


_PATIENCE = "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=30000"


def _database(url: str) -> dict[str, Any]:
    try:
        given: dict[str, Any] = conninfo_to_dict(url)  # as the gateway and the worker read it
    except psycopg.Error:
        given = {}
    ports = str(given.get("port", "")).replace(",", "")
    is_cut_short = "@" in str(given.get("dbname")) or (ports and not ports.isdecimal())  # by a slash in the password
    if not given or is_cut_short:
        raise env.EnvironmentProblem(
            "DATABASE_URL is not understood: write postgresql://user:password@host:5432/name, "
            "with %2F for a slash in the password."
        )
    user = given.pop("user", "")
    options = f"{given.pop('options', '')} {_PATIENCE}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.pop("dbname", user),
        "USER": user,
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": str(given.pop("port", "")),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **given,
            "pool": {"min_size": 1, "max_size": 8, "timeout": 2},
            "options": options,
        },
    }


DATABASES = {"default": _database(ENVIRONMENT.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = True

STATIC_URL = "/static/"
STATIC_ROOT = ENVIRONMENT.static_dir
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}

# Cookies ignore ports: names of our own keep other local apps' cookies apart from ours.
SESSION_COOKIE_NAME = "ks_staff"
SESSION_COOKIE_AGE = 1800
SESSION_COOKIE_SECURE = ENVIRONMENT.is_https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "ks_csrf"
CSRF_COOKIE_SECURE = ENVIRONMENT.is_https
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "portal.views.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.public_url]

DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENVIRONMENT.is_https
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # CSRF protection is on: portal.middleware.CsrfProtection is Django's, and stricter
    "security.W008",  # sending plain http on to https is the reverse proxy's: no plain request reaches us
    "security.W021",  # HSTS preloading cannot be taken back: the owner of the domain decides
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    },
}

LOGGING_CONFIG = None
logs.configure()
