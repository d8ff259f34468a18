/*
 * The rules of eslint.config.mjs in LuCI's repository, as far as they concern an app, and that functions and variables
 * are written as LuCI writes them now. Every finding is a fault (forge/checks/scripts.py).
 */

import js from '@eslint/js';
import json from '@eslint/json';
import globals from 'globals';

/* What LuCI gives every script, and its modules that a script may have asked for by name ('require ui'). */
const runtime = [ '_', 'N_', 'L', 'E', 'TR' ];
const modules = [ 'baseclass', 'dom', 'form', 'fs', 'network', 'poll', 'request', 'rpc', 'session', 'uci', 'ui', 'validation', 'view', 'widgets' ];

export default [
	{
		files: [ '**/*.js' ],
		plugins: { js },
		languageOptions: {
			ecmaVersion: 2022,
			sourceType: 'script',
			parserOptions: { ecmaFeatures: { globalReturn: true } }, /* LuCI makes a function of a script */
			globals: { ...globals.browser, ...Object.fromEntries([ ...runtime, ...modules ].map((name) => [ name, 'readonly' ])) }
		},
		rules: {
			...js.configs.recommended.rules,
			'no-control-regex': 'off',
			'no-empty': 'off',
			'no-prototype-builtins': 'off',
			'no-regex-spaces': 'off',
			'no-unused-vars': [ 'error', { args: 'none', caughtErrors: 'none', ignoreRestSiblings: true } ],
			'arrow-body-style': 'error',
			'no-var': 'error',
			'prefer-arrow-callback': 'error',
			'prefer-const': 'off'
		}
	},
	{ files: [ '**/*.json' ], language: 'json/json', ...json.configs.recommended }
];
