# shellcheck shell=sh disable=SC2034,SC2154,SC3043
# Stand-in for libubox' jshn.sh. Building is noted down in a variable and done by json_dump; the daemon does both that
# and the reading.

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

json_init() { eval "_JSON_OPS_$_JSON_NS= _JSON_AT_$_JSON_NS="; }
json_cleanup() { json_init; }
json_add_object() { _json_note object "$1"; }
json_add_array() { _json_note array "$1"; }
json_close_object() { _json_note close; }
json_close_array() { _json_note close; }
json_add_string() { _json_note string "$1" "$2"; }
json_add_int() { _json_note int "$1" "$2"; }
json_add_boolean() { _json_note boolean "$1" "$2"; }
json_dump() { eval "standin-jshn dump \"\$_JSON_OPS_$_JSON_NS\""; }

json_load() {
	eval "_JSON_DOC_$_JSON_NS=\$1 _JSON_AT_$_JSON_NS="
	_json_read check
}

# Within what json_select has chosen.
# shellcheck disable=SC2086
_json_read() {
	local _what="$1" _document _at
	shift
	eval "_document=\"\$_JSON_DOC_$_JSON_NS\" _at=\"\$_JSON_AT_$_JSON_NS\""
	standin-jshn "$_what" "$_document" $_at "$@"
}

json_select() {
	local _type
	if [ "$1" = .. ]; then
		eval "_JSON_AT_$_JSON_NS=\"\${_JSON_AT_$_JSON_NS% *}\""
		return 0
	fi
	_type="$(_json_read type "$1")"
	case "$_type" in object | array) eval "_JSON_AT_$_JSON_NS=\"\$_JSON_AT_$_JSON_NS \$1\"" ;; *) return 1 ;; esac
}

json_get_var() {
	local _value
	_value="$(_json_read var "$2")" || _value="$3"
	eval "$1=\$_value"
}
json_get_type() { eval "$1=\"\$(_json_read type \"\$2\")\""; }
json_get_values() { eval "$1=\"\$(_json_read values \"\$2\")\""; }
json_get_keys() { eval "$1=\"\$(_json_read keys \$2)\""; }

json_for_each_item() {
	local _call="$1" _name="$2" _key
	shift 2
	for _key in $(_json_read keys "$_name"); do
		"$_call" "$(_json_read var "$_name" "$_key")" "$_key" "$@"
	done
}
