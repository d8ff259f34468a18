# shellcheck shell=sh disable=SC2034,SC2154,SC3043
# Stand-in for libubox' jshn.sh. Building is noted down in a variable and done by json_dump; reading asks a helper.

_JSON_NS="${_JSON_NS:-}"
_JSON_FIELD="$(printf '\001')"
_JSON_END="$(printf '\002')"

_json_note() {
	eval "_JSON_OPS_$_JSON_NS=\"\$_JSON_OPS_$_JSON_NS\$1$_JSON_FIELD\$2$_JSON_FIELD\$3$_JSON_END\""
}

json_set_namespace() {
	local _old="$_JSON_NS"
	_JSON_NS="$1"
	[ -z "$2" ] || eval "$2=\$_old"
}

json_init() { eval "_JSON_OPS_$_JSON_NS="; }
json_cleanup() { json_init; }
json_add_object() { _json_note object "$1"; }
json_add_array() { _json_note array "$1"; }
json_close_object() { _json_note close; }
json_close_array() { _json_note close; }
json_add_string() { _json_note string "$1" "$2"; }
json_add_int() { _json_note int "$1" "$2"; }
json_add_boolean() { _json_note boolean "$1" "$2"; }
json_dump() { eval "printf '%s' \"\$_JSON_OPS_$_JSON_NS\"" | standin-jshn dump; }

json_load() {
	eval "_JSON_DOC_$_JSON_NS=\$1"
	_json_read check
}
_json_read() { eval "printf '%s' \"\$_JSON_DOC_$_JSON_NS\"" | standin-jshn "$@"; }
json_get_var() { eval "$1=\"\$(_json_read var \"\$2\")\""; }
json_get_type() { eval "$1=\"\$(_json_read type \"\$2\")\""; }
json_get_values() { eval "$1=\"\$(_json_read values \"\$2\")\""; }

json_for_each_item() {
	local _call="$1" _name="$2" _at=1 _number
	_number="$(_json_read length "$_name")"
	while [ "$_at" -le "${_number:-0}" ]; do
		"$_call" "$(_json_read item "$_name" "$_at")" "$_at"
		_at=$((_at + 1))
	done
}
