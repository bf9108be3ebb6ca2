"""What is said: the ten digits, words that are none, and sentences without a digit.

All of it is our own text. `DECOYS` holds the neighbours of each digit in the ear and in the dictionary first: whoever
says "fourteen", "to" or "heaven" must not be heard saying a digit. (English spells "to" and "for" unlike "two" and
"four" and says them alike: alone they are digits, so they appear inside sentences only.)
"""

from __future__ import annotations

import random

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ACCENTS = {
    "de": ("Siroh", "Uann", "Tuh", "Srih", "Foor", "Feiw", "Siks", "Sewen", "Eyt", "Nein"),
    "fr": ("ziro", "ouane", "tou", "sri", "faure", "faïve", "sixe", "sévenne", "éïte", "naïne"),
    "es": ("siro", "uan", "tu", "zri", "for", "faiv", "sics", "seven", "eit", "nain"),
    "it": ("zirou", "uan", "tu", "tri", "for", "faiv", "sics", "seven", "eit", "nain"),
    "hi": ("ज़ीरो", "वन", "टू", "थ्री", "फोर", "फाइव", "सिक्स", "सेवन", "एट", "नाइन"),
    "ru": ("зироу", "уан", "ту", "сри", "фор", "файв", "сикс", "севен", "эйт", "найн"),
    "el": ("ζίροου", "γουάν", "του", "θρι", "φορ", "φάιβ", "σιξ", "σέβεν", "έιτ", "νάιν"),
    "pl": ("ziroł", "łan", "tu", "tri", "for", "fajw", "siks", "sewen", "ejt", "najn"),
    "pt-br": ("zírou", "uãn", "tu", "tri", "fór", "faive", "sics", "séven", "eite", "naine"),
    "tr": ("ziro", "uan", "tu", "tri", "for", "fayv", "siks", "seven", "eyt", "nayn"),
    "fi": ("siirou", "uan", "tuu", "srii", "foor", "faiv", "siks", "seven", "eit", "nain"),
}
"""The digits as readers of another language would spell them for their own voice: a foreign accent."""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DECOYS = _listed(
    """
    hero arrow narrow sparrow zebra hello yellow mirror nero xerox wonder want once when win wander run sun
    gun tune tooth toot stew chew shoe dew tools free tree tea sea key fee freeze thrill read fourteen forty forward
    form door floor war more fort force fork fight fifty fifteen fire hive life knife strive drive find fine sixteen
    sixty sick sit fix mix socks sex stick sink kiss heaven eleven seventeen seventy sever savage ever even sentence
    never lemon eighteen eighty ape aim hate late rate wait date paint gate nineteen ninety mine line wine whine night
    nice knight time ten twelve twenty thirteen thirty hundred thousand million dozen half double plus minus point
    yes no stop go start left right up down on off open close louder softer light kitchen window camera machine
    computer house garden water coffee music record play pause volume morning evening today tomorrow weather news
    please thanks sorry again maybe good bad red green blue black white big small dog cat bird horse mother father
    school train car street city river mountain paper letter number button answer question marvin sheila visual follow
    learn forward backward alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima november oscar papa
    quebec romeo sierra tango uniform victor whiskey yankee zulu ah oh um huh hmm okay
    """
)

_SUBJECTS = ("the man", "my sister", "the old machine", "our neighbour", "a small bird", "the new driver", "everybody")
_VERBS = ("wants to open", "has been looking for", "went to see", "is waiting for", "forgot to close", "never liked")
_OBJECTS = ("the kitchen window", "a letter from home", "the long river", "some fresh bread", "that noisy engine")
_ENDS = ("before the night", "because it was too late", "and then went home", "to be sure of it", "in the heavy rain")
_FILLERS = _listed(
    """
    the a of and to in is it that was for on are as with his they at be this from have or by had not but what all were
    we when your can said there use an each which she do how their if will up other about out many then them these so
    some her would make like him into time has look more write go see way could people my than first water been call
    who its now find long down day did get come made may part over new sound take only little work know place year live
    me back give most very after thing our just name good sentence man think say great where help through much before
    line right too mean old any same tell boy follow came want show also around form small set put end does another
    well large must big even such because turn here why ask went men read need land different home us move try kind
    hand picture again change off play spell air away animal house point page letter mother answer found study still
    learn should america world ate won weight fort tree heaven whine
    """
)

_NEAR = _listed(
    """
    mine line fine find wine sign time night nice kind behind design knight alive drive life live wife knife arrive hide
    to too do who into true blue through you for fortune before more door afford forward ate late great wait
    weigh date state won when once want wonder anyone free tree thread agree sea read sex sick fix mix sixty sixteen
    heaven even given seventy never several zebra hero here really narrow
    """
)
"""Words that hold or brush a digit."""


def sentence(dice: random.Random) -> str:
    """A sentence, or a salad of common words and of words close to a digit, in which no digit is said."""
    if dice.random() < 0.35:
        return " ".join(dice.choice(part) for part in (_SUBJECTS, _VERBS, _OBJECTS, _ENDS))
    return " ".join(dice.choice(_NEAR if dice.random() < 0.4 else _FILLERS) for _ in range(dice.randint(6, 12)))
