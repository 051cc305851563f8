"""The words of the English-French grammar: nouns, adjectives and verbs with their inflections in both languages.

The lexicon consists of tables that are easy to read and extend. Rules derive regular plurals and feminine forms; the
tables contain the irregular ones. Semantic kinds keep sentences meaningful: a verb lists the kinds of nouns that can be
its object, an adjective the kinds of nouns that it can describe.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Literal

Gender = Literal["m", "f"]


@dataclass(frozen=True)
class Noun:
    """A noun with its plural in both languages, its French gender and its semantic kinds."""

    english: str
    english_plural: str
    french: str
    french_plural: str
    gender: Gender
    kinds: frozenset[str]


@dataclass(frozen=True)
class Adjective:
    """An adjective.

    Attributes:
        rank: its position among English adjectives; 0 follows the determiner.
        before: whether it precedes a French noun.
    """

    english: str
    masculine: str
    feminine: str
    masculine_plural: str
    feminine_plural: str
    before_vowel: str
    before: bool
    rank: int
    kinds: frozenset[str]

    def french(self, gender: Gender, plural: bool) -> str:
        """The form that agrees with a noun of this gender and number."""
        if gender == "m":
            return self.masculine_plural if plural else self.masculine
        return self.feminine_plural if plural else self.feminine


@dataclass(frozen=True)
class Verb:
    """A verb.

    Attributes:
        present: the French forms for je, il, nous, vous, ils.
        future: the French stem, to which the endings of avoir are added.
    """

    english: str
    english_third: str
    english_past: str
    particle: str
    infinitive: str
    present: tuple[str, str, str, str, str]
    participle: str
    future: str
    kinds: frozenset[str]


_NOUNS = """
boy garçon m person | girl fille f person | man homme m person | woman femme f person
child enfant m person close | teacher professeur m person close | student étudiant m person close
doctor médecin m person close | neighbour voisin m person close | friend ami m person close
mother mère f person close | father père m person close | brother frère m person close
sister sœur f person close | actor acteur m person | actress actrice f person | baker boulanger m person
lawyer avocat m person close | nurse infirmière f person close | farmer fermier m person | king roi m person
queen reine f person | dog chien m animal | cat chat m animal | horse cheval m animal | bird oiseau m animal
cow vache f animal | mouse souris f animal | goat chèvre f animal | rabbit lapin m animal
fish poisson m animal | bee abeille f animal | book livre m thing text open | letter lettre f thing text open
newspaper journal m thing text | article article m text | poem poème m text | novel roman m thing text
story histoire f text | message message m text | car voiture f thing wash | bicycle vélo m thing wash
key clé f thing | table table f thing wash | chair chaise f thing wash | box boîte f thing open
bottle bouteille f thing open | door porte f open wash house | window fenêtre f open wash house
lamp lampe f thing | clock horloge f thing | knife couteau m thing | flower fleur f thing | ball balle f thing
bag sac m thing open | mirror miroir m thing wash | picture tableau m thing | carpet tapis m thing wash
hat chapeau m clothing | shirt chemise f clothing | coat manteau m clothing | dress robe f clothing
skirt jupe f clothing | apple pomme f food | cake gâteau m food | egg œuf m food | orange orange f food
tomato tomate f food | sandwich sandwich m food | pear poire f food | house maison f place
school école f place | garden jardin m place | market marché m place | hotel hôtel m place
hospital hôpital m place | church église f place | museum musée m place | castle château m place
city ville f place | village village m place | station gare f place | library bibliothèque f place
kitchen cuisine f place house | park parc m place | bridge pont m site | river rivière f site
island île f site | area zone f institution | policy politique f institution
commission commission f institution body | law loi f institution law | crisis crise f institution
system système m institution | agreement accord m institution law | project projet m institution law
report rapport m institution text law | council conseil m institution body | reform réforme f institution law
debate débat m institution | institution institution f institution body | committee comité m institution body
treaty traité m institution law | conference conférence f institution
"""

_MASS_NOUNS = """
bread pain m eat | meat viande f eat | cheese fromage m eat | rice riz m eat | salad salade f eat
chocolate chocolat m eat | water eau f drink | milk lait m drink | coffee café m drink | tea thé m drink
wine vin m drink | juice jus m drink
"""

_ENGLISH_PLURALS = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "knife": "knives", "tomato": "tomatoes",
    "fish": "fish", "crisis": "crises",
}  # fmt: skip

# English, French masculine (and irregular feminine and masculine before a vowel), kinds. Several English adjectives
# have the order of these groups: size and age, quality, colour, origin, field.
_ADJECTIVES = """
small petit | before 0 person animal thing clothing food place site
big grand | before 0 animal thing clothing food place site
beautiful beau belle bel | before 0 animal thing clothing place site
old vieux vieille vieil | before 0 person animal thing clothing place site
young jeune | before 0 person
new nouveau nouvelle nouvel | before 0 person thing clothing text institution
pretty joli | before 0 thing clothing place site
good bon bonne | before 0 person food text
intelligent intelligent | after 1 person animal
happy heureux heureuse | after 1 person
sad triste | after 1 person text
famous célèbre | after 1 person text place site
rich riche | after 1 person
polite poli | after 1 person
tired fatigué | after 1 person animal
patient patient | after 1 person
serious sérieux sérieuse | after 1 person institution
strange étrange | after 1 person animal thing text clothing place
interesting intéressant | after 1 text institution
important important | after 1 text institution
difficult difficile | after 1 text institution
useful utile | after 1 thing text institution
expensive cher chère | after 1 thing clothing food
heavy lourd | after 1 thing clothing
round rond | after 1 thing
empty vide | after 1 place
dirty sale | after 1 animal thing clothing
modern moderne | after 1 thing place
dangerous dangereux dangereuse | after 1 animal site
fresh frais fraîche | after 1 food
quiet tranquille | after 1 animal place site
red rouge | after 2 thing clothing
white blanc blanche | after 2 animal thing clothing
black noir | after 2 animal thing clothing
green vert | after 2 thing clothing
blue bleu | after 2 thing clothing
yellow jaune | after 2 thing clothing
grey gris | after 2 animal thing clothing
French français | after 3 person thing text clothing food place institution
English anglais | after 3 person thing text clothing place institution
German allemand | after 3 person thing text place institution
Italian italien italienne | after 3 person thing text clothing food place institution
Spanish espagnol | after 3 person thing text food place institution
American américain | after 3 person thing text place institution
European européen européenne | after 3 institution
economic économique | after 4 institution
political politique | after 4 institution
social social | after 4 institution
financial financier financière | after 4 institution
military militaire | after 4 institution
cultural culturel culturelle | after 4 institution
international international | after 4 institution
legal juridique | after 4 institution
"""

# English with third person, past and particle; French infinitive, je il nous vous ils, participle, future stem; kinds
# of objects.
_TRANSITIVE = """
see sees saw - | voir vois voit voyons voyez voient vu verr | person animal thing clothing place site
hear hears heard - | entendre entends entend entendons entendez entendent entendu entendr | person animal
like likes liked - | aimer aime aime aimons aimez aiment aimé aimer | person animal thing clothing food place text
look looks looked for | chercher cherche cherche cherchons cherchez cherchent cherché chercher | person animal thing
find finds found - | trouver trouve trouve trouvons trouvez trouvent trouvé trouver | person animal thing clothing
know knows knew - | connaître connais connaît connaissons connaissez connaissent connu connaîtr | person place
wait waits waited for | attendre attends attend attendons attendez attendent attendu attendr | person
help helps helped - | aider aide aide aidons aidez aident aidé aider | person
call calls called - | appeler appelle appelle appelons appelez appellent appelé appeller | person animal
follow follows followed - | suivre suis suit suivons suivez suivent suivi suivr | person animal
meet meets met - | rencontrer rencontre rencontre rencontrons rencontrez rencontrent rencontré rencontrer | person
buy buys bought - | acheter achète achète achetons achetez achètent acheté achèter | thing clothing food
take takes took - | prendre prends prend prenons prenez prennent pris prendr | thing clothing
lose loses lost - | perdre perds perd perdons perdez perdent perdu perdr | thing clothing
open opens opened - | ouvrir ouvre ouvre ouvrons ouvrez ouvrent ouvert ouvrir | open
close closes closed - | fermer ferme ferme fermons fermez ferment fermé fermer | open
wash washes washed - | laver lave lave lavons lavez lavent lavé laver | wash clothing
read reads read - | lire lis lit lisons lisez lisent lu lir | text
write writes wrote - | écrire écris écrit écrivons écrivez écrivent écrit écrir | text
eat eats ate - | manger mange mange mangeons mangez mangent mangé manger | food
wear wears wore - | porter porte porte portons portez portent porté porter | clothing
visit visits visited - | visiter visite visite visitons visitez visitent visité visiter | place site
draw draws drew - | dessiner dessine dessine dessinons dessinez dessinent dessiné dessiner | animal person place site
watch watches watched - | regarder regarde regarde regardons regardez regardent regardé regarder | person animal
describe describes described - | décrire décris décrit décrivons décrivez décrivent décrit décrir | person place institution
study studies studied - | étudier étudie étudie étudions étudiez étudient étudié étudier | institution text
support supports supported - | soutenir soutiens soutient soutenons soutenez soutiennent soutenu soutiendr | institution
criticize criticizes criticized - | critiquer critique critique critiquons critiquez critiquent critiqué critiquer | institution text
defend defends defended - | défendre défends défend défendons défendez défendent défendu défendr | institution
have has had - | avoir ai a avons avez ont eu aur | animal thing clothing
"""  # noqa: E501

_MASS_VERBS = """
eat eats ate - | manger mange mange mangeons mangez mangent mangé manger | eat
drink drinks drank - | boire bois boit buvons buvez boivent bu boir | drink
buy buys bought - | acheter achète achète achetons achetez achètent acheté achèter | eat drink
want wants wanted - | vouloir veux veut voulons voulez veulent voulu voudr | eat drink
"""

_DITRANSITIVE = """
give gives gave - | donner donne donne donnons donnez donnent donné donner | thing clothing food
show shows showed - | montrer montre montre montrons montrez montrent montré montrer | thing clothing animal text
sell sells sold - | vendre vends vend vendons vendez vendent vendu vendr | thing clothing food
send sends sent - | envoyer envoie envoie envoyons envoyez envoient envoyé enverr | text
bring brings brought - | apporter apporte apporte apportons apportez apportent apporté apporter | thing clothing food
"""

_INTRANSITIVE = """
sleep sleeps slept - | dormir dors dort dormons dormez dorment dormi dormir | -
sing sings sang - | chanter chante chante chantons chantez chantent chanté chanter | -
work works worked - | travailler travaille travaille travaillons travaillez travaillent travaillé travailler | -
walk walks walked - | marcher marche marche marchons marchez marchent marché marcher | -
run runs ran - | courir cours court courons courez courent couru courr | -
dance dances danced - | danser danse danse dansons dansez dansent dansé danser | -
"""

# The English particle corresponds to a French preposition: `to` to à, `from` to de. The past is built with être.
_MOTION = """
go goes went to | aller vais va allons allez vont allé ir | à
arrive arrives arrived at | arriver arrive arrive arrivons arrivez arrivent arrivé arriver | à
return returns returned to | retourner retourne retourne retournons retournez retournent retourné retourner | à
come comes came from | venir viens vient venons venez viennent venu viendr | de
"""

_PREPOSITIONAL = """
talk talks talked about | parler parle parle parlons parlez parlent parlé parler | de person animal place text institution
think thinks thought of | penser pense pense pensons pensez pensent pensé penser | à person animal place institution
need needs needed - | avoir_besoin ai a avons avez ont eu aur | de thing clothing
"""  # noqa: E501

_MODAL = """
want wants wanted to | vouloir veux veut voulons voulez veulent voulu voudr | -
can can could - | pouvoir peux peut pouvons pouvez peuvent pu pourr | -
must must must - | devoir dois doit devons devez doivent dû devr | -
"""

MASCULINE_NAMES = ("Paul", "Pierre", "Thomas", "Henri", "Antoine", "Julien")
FEMININE_NAMES = ("Marie", "Anne", "Julie", "Sophie", "Hélène", "Alice")

PASSIVE_VERBS = {
    "signed": "signé", "adopted": "adopté", "approved": "approuvé", "rejected": "rejeté", "published": "publié",
    "presented": "présenté",
}  # fmt: skip

MONTHS = {
    "January": "janvier", "February": "février", "March": "mars", "April": "avril", "May": "mai", "June": "juin",
    "July": "juillet", "August": "août", "September": "septembre", "October": "octobre", "November": "novembre",
    "December": "décembre",
}  # fmt: skip

WEEKDAYS = {
    "Monday": "lundi", "Tuesday": "mardi", "Wednesday": "mercredi", "Thursday": "jeudi", "Friday": "vendredi",
    "Saturday": "samedi", "Sunday": "dimanche",
}  # fmt: skip

CITIES = ("Paris", "Lyon", "Berlin", "Rome", "Madrid", "Amsterdam")


def starts_with_vowel(word: str) -> bool:
    """Whether French elides before this word. Each `h` in this lexicon is mute, except that of "huit"."""
    if word in ("huit", "onze"):
        return False
    return word == "y" or unicodedata.normalize("NFD", word)[0].lower() in "aeiouhœ"


def _english_plural(noun: str) -> str:
    if noun in _ENGLISH_PLURALS:
        return _ENGLISH_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def _french_plural(word: str) -> str:
    if word.endswith(("s", "x", "z")):
        return word
    if word.endswith("al"):
        return word[:-1] + "ux"
    return word + ("x" if word.endswith("eau") else "s")


def _parse_nouns(table: str) -> tuple[Noun, ...]:
    nouns = []
    for entry in table.replace("\n", "|").split("|"):
        if entry.strip():
            english, french, gender, *kinds = entry.split()
            plurals = _english_plural(english), _french_plural(french)
            nouns.append(Noun(english, plurals[0], french, plurals[1], gender, frozenset(kinds)))
    return tuple(nouns)


def _parse_adjective(line: str) -> Adjective:
    forms, properties = line.split("|")
    english, masculine, *irregular = forms.split()
    feminine = irregular[0] if irregular else masculine + ("" if masculine.endswith("e") else "e")
    before_vowel = irregular[1] if len(irregular) > 1 else masculine
    position, rank, *kinds = properties.split()
    return Adjective(
        english=english,
        masculine=masculine,
        feminine=feminine,
        masculine_plural=_french_plural(masculine),
        feminine_plural=feminine + "s",
        before_vowel=before_vowel,
        before=position == "before",
        rank=int(rank),
        kinds=frozenset(kinds),
    )


def _parse_verb(line: str) -> Verb:
    english, french, kinds = (part.split() for part in line.split("|"))
    infinitive, *present, participle, future = french
    return Verb(
        english=english[0],
        english_third=english[1],
        english_past=english[2],
        particle="" if english[3] == "-" else english[3],
        infinitive=infinitive,
        present=tuple(present),
        participle=participle,
        future=future,
        kinds=frozenset(kinds),
    )


def _lines(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.strip()]


NOUNS = _parse_nouns(_NOUNS)
MASS_NOUNS = _parse_nouns(_MASS_NOUNS)
ADJECTIVES = tuple(_parse_adjective(line) for line in _lines(_ADJECTIVES))
TRANSITIVE = tuple(_parse_verb(line) for line in _lines(_TRANSITIVE))
MASS_VERBS = tuple(_parse_verb(line) for line in _lines(_MASS_VERBS))
DITRANSITIVE = tuple(_parse_verb(line) for line in _lines(_DITRANSITIVE))
INTRANSITIVE = tuple(_parse_verb(line) for line in _lines(_INTRANSITIVE))
MOTION = tuple(_parse_verb(line) for line in _lines(_MOTION))
PREPOSITIONAL = tuple(_parse_verb(line) for line in _lines(_PREPOSITIONAL))
MODAL = tuple(_parse_verb(line) for line in _lines(_MODAL))
NOUN_BY_ENGLISH = {noun.english: noun for noun in (*NOUNS, *MASS_NOUNS)}
ADJECTIVE_BY_ENGLISH = {adjective.english: adjective for adjective in ADJECTIVES}


@cache
def nouns_of(kinds: frozenset[str]) -> tuple[Noun, ...]:
    """The countable nouns of at least one of these kinds, in the order of the table."""
    return tuple(noun for noun in NOUNS if noun.kinds & kinds)


@cache
def adjectives_for(kinds: frozenset[str]) -> tuple[Adjective, ...]:
    """The adjectives that describe at least one of these kinds, in the order of the table."""
    return tuple(adjective for adjective in ADJECTIVES if adjective.kinds & kinds)
