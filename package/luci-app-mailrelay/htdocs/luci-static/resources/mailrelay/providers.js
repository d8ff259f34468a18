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
			login: _('The login is the mailbox and its password. An administrator has to allow "Authenticated SMTP" for the mailbox; Microsoft switches that off at the end of 2026, an administrator can have it back for a while; the next three entries do without it. Mail must come from this mailbox: enter it as "Send as", too.')
		},
		{
			name: 'Microsoft 365: Azure Communication Services', host: 'smtp.azurecomm.net', port: '587', tls: 'starttls', rate: '30/minute',
			login: _('The login name is that of the resource, the ID of the application and the ID of the tenant, with | between them, or the SMTP user name that you made there; the password is a client secret of the application. Mail must come from a MailFrom address of a verified domain: enter it as "Send as", and your own address as "Notices to".')
		},
		{
			name: 'Microsoft 365: connector or Direct Send', host: 'TENANT-com.mail.protection.outlook.com', port: '25', tls: 'starttls',
			login: _('Put your own domain into the server\'s name, with hyphens for its dots, and leave login name and password empty. This wants a fixed public address and an internet provider that lets port 25 out. With a connector for that address mail goes to anyone, without one (Direct Send) to your own mailboxes only, and nowhere where Direct Send is rejected. Enter an address of your domain as "Send as", and your own as "Notices to".')
		},
		{
			name: 'Microsoft 365: High Volume Email', host: 'smtp-hve.office365.com', port: '587', tls: 'starttls',
			login: _('The login is a High Volume Email account, made in the Exchange admin center, and its password. Mail goes to your own organization only and must come from this account: enter it as "Send as", and your own address as "Notices to".')
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
	of(host) {
		return this.list.find((provider) => provider.host == host);
	}
});
