'use strict';
'require baseclass';

/*
 * The providers that the settings page fills in: the server's name, port and kind of TLS, and in `login` what its owner
 * has to know about the login. `rate` is a limit of the provider's own.
 */
return baseclass.extend({
	list: [
		{
			name: 'Gmail', host: 'smtp.gmail.com', port: '587', tls: 'starttls',
			login: _('Google takes no account password here. Turn on 2-step verification, make an App Password (myaccount.google.com/apppasswords) and enter its 16 letters. The login name is the whole Gmail address.')
		},
		{
			name: 'Microsoft 365', host: 'smtp.office365.com', port: '587', tls: 'starttls', rate: '30/minute',
			login: _('The login is the mailbox and its password. An administrator has to allow "Authenticated SMTP" for the mailbox; Microsoft removes this way step by step. Mail must come from this mailbox: enter it as the sender, too.')
		},
		{
			name: 'Outlook.com', host: 'smtp-mail.outlook.com', port: '587', tls: 'starttls',
			login: _('Outlook.com, Hotmail and Live take OAuth2 logins only, which the relay cannot do: use another provider.')
		},
		{
			name: 'Yahoo', host: 'smtp.mail.yahoo.com', port: '465', tls: 'tls',
			login: _('Yahoo takes no account password here: make an app password in the account\'s security settings. The login name is the whole address.')
		},
		{
			name: 'iCloud', host: 'smtp.mail.me.com', port: '587', tls: 'starttls',
			login: _('Apple takes no account password here: make an app-specific password at account.apple.com. The login name is the whole iCloud address.')
		},
		{
			name: 'Fastmail', host: 'smtp.fastmail.com', port: '465', tls: 'tls',
			login: _('Fastmail takes no account password here: make an app password with access to SMTP. The login name is the whole address.')
		},
		{
			name: 'GMX', host: 'mail.gmx.net', port: '587', tls: 'starttls',
			login: _('Allow it first on the provider\'s web page: Settings, POP3/IMAP, "Allow access". With two-factor sign-in an app password is needed. The login name is the whole address.')
		},
		{
			name: 'web.de', host: 'smtp.web.de', port: '587', tls: 'starttls',
			login: _('Allow it first on the provider\'s web page: Settings, POP3/IMAP, "Allow access". With two-factor sign-in an app password is needed. The login name is the whole address.')
		},
		{
			name: 'Zoho', host: 'smtp.zoho.com', port: '465', tls: 'tls',
			login: _('European accounts use smtp.zoho.eu, own domains smtppro.zoho.com. With two-factor sign-in an app-specific password is needed. The login name is the whole address.')
		},
		{
			name: 'Amazon SES', host: 'email-smtp.eu-central-1.amazonaws.com', port: '587', tls: 'starttls',
			login: _('Put your own region into the server\'s name, and make SMTP credentials in the SES console there: the key of an AWS user does not work. The sender has to be one that SES has verified.')
		}
	],

	/* The provider of a server's name, or undefined. */
	of: function(host) {
		return this.list.find(function(provider) { return provider.host == host; });
	}
});
