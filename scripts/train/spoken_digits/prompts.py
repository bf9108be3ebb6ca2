"""A woman's recorded digits, and real speech without digits: the prompts of a telephone exchange that Debian packages.

    apt-get install asterisk-core-sounds-{en,es,fr,it,ru}-wav

(c) 2003-2010 Allison Smith (English, Spanish), 2006-2008 June Wallack (French): CC BY-SA 3.0; 2012 Carlo Flora
(Italian), 2010 Maxim Topal (Russian): CC BY 3.0. Those in Russian are not trained on: the threshold is chosen
with them.
"""

from __future__ import annotations

from pathlib import Path

from spoken_digits.bank import RATE_HZ, Word, load
from spoken_digits.words import DIGITS

FOLDER = Path("/usr/share/asterisk/sounds")
ENGLISH = FOLDER / "en_US_f_Allison"
FOREIGN = ("es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")

_WORDS = """
    activated added calling cancelled disabled enabled extension goodbye hello hours invalid is location lowercase
    minute minutes number removed second seconds sorry time transfer uppercase with your vm-Family vm-Friends vm-Old
    vm-Urgent vm-Work vm-and vm-delete vm-deleted vm-first vm-forward vm-from vm-goodbye vm-last vm-message
    vm-messages vm-minutes vm-next vm-no vm-password vm-press vm-received vm-repeat vm-saved digits/at
    digits/billion digits/dollars digits/hundred digits/million digits/minus digits/oclock digits/pound digits/star
    digits/thousand digits/today digits/tomorrow digits/yesterday
"""
_SENTENCES = """
    agent-alreadyon agent-incorrect agent-loggedoff agent-loginok agent-newlocation agent-pass agent-user
    all-circuits-busy-now auth-incorrect auth-thankyou cannot-complete-as-dialed check-number-dial-again
    conf-extended conf-getconfno conf-getpin conf-hasjoin conf-hasleft conf-invalid conf-invalidpin conf-kicked
    conf-leaderhasleft conf-locked conf-lockednow conf-muted conf-now-muted conf-now-recording conf-now-unmuted
    conf-otherinparty conf-placeintoconf conf-unlockednow conf-unmuted conf-userswilljoin conf-userwilljoin
    conf-waitforleader demo-abouttotry demo-congrats demo-echodone demo-moreinfo demo-nogo demo-nomatch demo-thanks
    dir-nomatch dir-nomore do-not-disturb feature-not-avail-line from-unknown-caller hello-world im-sorry
    info-about-last-call is-in-use num-was-successfully number-not-answering pbx-invalid pbx-invalidpark
    pbx-parkingfailed pbx-transfer please-try-again please-try-call-later pls-hold-while-try privacy-incorrect
    privacy-prompt privacy-thankyou privacy-unident queue-callswaiting queue-holdtime queue-periodic-announce
    queue-reporthold queue-thankyou queue-thereare simul-call-limit-reached something-terribly-wrong
    sorry-youre-having-problems speed-dial-empty ss-noservice telephone-number tt-allbusy tt-monkeysintro
    tt-somethingwrong tt-weasels unidentified-no-callback vm-dialout vm-goodbye vm-incorrect vm-incorrect-mailbox
    vm-intro vm-invalid-password vm-invalidpassword vm-isonphone vm-isunavail vm-leavemsg vm-login vm-mailboxfull
    vm-mismatch vm-msgsaved vm-newpassword vm-nobodyavail vm-nobox vm-nomore vm-nonumber vm-passchanged
    vm-pls-try-again vm-rec-busy vm-rec-name vm-rec-temp vm-rec-unv vm-reenterpassword vm-sorry vm-theperson
    vm-tooshort vm-unknown-caller vm-whichbox vm-youhave you-entered
"""


def prompts() -> tuple[list[Word], list[Word]]:
    """Words, digits among them, and sentences without an English digit; of what is installed."""
    words = [_word(name, None) for name in _WORDS.split() if (ENGLISH / f"{name}.wav").is_file()]
    for path in sorted((ENGLISH / "digits").glob("*.wav")) + sorted((ENGLISH / "letters").glob("*.wav")):
        if f"digits/{path.stem}" in _WORDS.split() or path.stem == "oh":
            continue
        digit = int(path.stem) if path.stem in map(str, range(10)) and path.parent.name == "digits" else None
        words.append(_word(f"{path.parent.name}/{path.stem}", digit))
    words += [_word(f"phonetic/{path.stem}", None) for path in sorted((ENGLISH / "phonetic").glob("[a-z]_p.wav"))]
    sentences = [_word(name, None) for name in _SENTENCES.split() if (ENGLISH / f"{name}.wav").is_file()]
    for language in FOREIGN:
        sentences += [Word("", None, language, load(path)) for path in sorted((FOLDER / language).glob("*-*.wav"))]
    return [w for w in words if len(w.sound) < RATE_HZ], [s for s in sentences if len(s.sound) > RATE_HZ]


def _word(name: str, digit: int | None) -> Word:
    said = name if digit is None else DIGITS[digit]
    return Word(said, digit, ENGLISH.name, load(ENGLISH / f"{name}.wav"))
